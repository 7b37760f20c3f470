"""Finds gold queries not to be trusted: they fail, depend on ties or chance, or are duplicates.

audited = audit(questions, executor, largest_copy=500)
clean = clean_questions(audited, Match.BIRD)
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import (
    Execution,
    Executor,
    Pair,
    Statement,
    Status,
    create_reversed_copy,
)
from slmsql.execution.engines.address import dialect_of, name_of
from slmsql.match import Match, orders_rows, same_result
from slmsql.questions.gold_probes import Sign, find_signs
from slmsql.questions.question import Question, with_databases
from slmsql.sql.dialect import Dialect

ALL_ROWS = 10**9  # a preview of all rows that the limits allow


class Finding(StrEnum):
    """A reason not to train or evaluate on a question as it is."""

    NO_DATABASE = "no database"
    NO_GOLD = "no gold SQL"
    FAILS = "fails"
    TIMES_OUT = "times out"
    TOO_LARGE = "too large"
    REFUSED = "refused"
    EMPTY = "empty"
    VOLATILE = "not deterministic"
    TIES = "depends on ties"
    TIE_ORDER = "order depends on ties"
    DUPLICATE = "duplicate"


BY_STATUS = {
    Status.ERROR: Finding.FAILS,
    Status.TIMEOUT: Finding.TIMES_OUT,
    Status.TOO_LARGE: Finding.TOO_LARGE,
    Status.REFUSED: Finding.REFUSED,
}


@dataclass(slots=True)
class AuditedQuestion:
    """A question, its findings and the execution of its gold query."""

    question: Question
    findings: list[Finding] = field(default_factory=list)
    detail: str = ""
    execution: Execution | None = None
    signs: list[Sign] = field(default_factory=list)
    """Signs that the gold query is wrong although it runs; empty unless they were looked for."""

    def as_record(self) -> dict[str, object]:
        record: dict[str, object] = {
            "id": self.question.id,
            "db_id": self.question.db_id,
            "findings": self.findings,
            "detail": self.detail,
            "signs": self.signs,
            "gold_sql": self.question.gold_sql,
        }
        if self.execution is not None:
            record |= {"rows": self.execution.row_count, "steps": self.execution.steps}
        return record


def audit(
    questions: Sequence[Question],
    executor: Executor,
    *,
    largest_copy: int = 500,
    probe: bool = False,
) -> list[AuditedQuestion]:
    """Audit the gold query of each question.

    A query depends on ties if it gives another result on a copy of its database with all rows in
    reverse order.

    Args:
        questions: with or without databases and gold queries.
        executor: runs the SQL.
        largest_copy: largest size in megabytes of a database to copy; queries on larger databases
            and on other engines than SQLite are not checked for ties.
        probe: also look for signs that gold queries are wrong.

    Returns:
        All questions with their findings, in the order of `questions`.

    Raises:
        InputError: no question has a database.
    """
    audited = [AuditedQuestion(question) for question in questions]
    runnable = _with_database_and_gold(audited)
    _say(f"running {len(runnable)} gold queries")
    _run(executor, runnable)
    _find_ties(executor, [question for question in runnable if _is_steady(question)], largest_copy)
    _find_duplicates(audited)
    if probe:
        _probe(executor, [entry for entry in runnable if _is_steady(entry)])
    return audited


def clean_questions(audited: Sequence[AuditedQuestion], match: Match) -> list[Question]:
    """The questions without findings and signs. Mode `bird` ignores the order of rows and ties."""
    harmless = {Finding.TIE_ORDER} if match is Match.BIRD else set()
    return [
        entry.question
        for entry in audited
        if not set(entry.findings) - harmless and not entry.signs
    ]


def _probe(executor: Executor, audited: Sequence[AuditedQuestion]) -> None:
    found = find_signs([entry.question for entry in audited], executor)
    for entry, signs in zip(audited, found, strict=True):
        entry.signs = signs


def _with_database_and_gold(audited: Sequence[AuditedQuestion]) -> list[AuditedQuestion]:
    _, missing = with_databases(entry.question for entry in audited)
    missing_ids = {question.id for question in missing}
    for entry in audited:
        if entry.question.id in missing_ids:
            entry.findings.append(Finding.NO_DATABASE)
        if entry.question.gold_sql is None:
            entry.findings.append(Finding.NO_GOLD)
    if len(missing_ids) == len(audited):
        raise InputError(
            f"none of the questions has a database; expected for instance {missing[0].database}"
        )
    return [entry for entry in audited if not entry.findings]


def _run(executor: Executor, audited: Sequence[AuditedQuestion]) -> None:
    executions = executor.run([_statement(entry) for entry in audited])
    for entry, execution in zip(audited, executions, strict=True):
        entry.execution = execution
        if not execution.ok:
            entry.findings.append(BY_STATUS[execution.status])
            entry.detail = execution.error or ""
        elif execution.row_count == 0:
            entry.findings.append(Finding.EMPTY)
        if execution.volatile:
            entry.findings.append(Finding.VOLATILE)


def _is_steady(entry: AuditedQuestion) -> bool:
    """Whether the gold query ran and would give the same result again."""
    execution = entry.execution
    return execution is not None and execution.ok and not execution.volatile


def _statement(entry: AuditedQuestion, database: Path | None = None) -> Statement:
    return Statement(database or entry.question.database, entry.question.gold_sql)


def _find_ties(executor: Executor, audited: list[AuditedQuestion], largest: int) -> None:
    by_database: dict[Path, list[AuditedQuestion]] = {}
    for entry in audited:
        by_database.setdefault(entry.question.database, []).append(entry)
    for position, (database, entries) in enumerate(by_database.items(), start=1):
        if position % 20 == 0 or position == len(by_database):
            _say(f"ties: {position} of {len(by_database)} databases")
        if dialect_of(database) is not Dialect.SQLITE:
            _say(f"ties: {name_of(database)} is not SQLite, skipped")
            continue
        if database.stat().st_size > largest * 10**6:
            _say(f"ties: {database.name} is larger than {largest} MB, skipped")
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / database.name
            try:
                create_reversed_copy(database, copy)
            except InputError as error:
                _say(f"ties: {error}, skipped")
                continue
            _compare_with(executor, copy, entries)


def _compare_with(executor: Executor, copy: Path, audited: list[AuditedQuestion]) -> None:
    """Add findings for queries whose results on the reversed copy differ.

    Equal digests settle most queries without fetching rows. Rows are fetched and compared if the
    digests differ (it may be rounding) or if the query sorts.
    """
    on_copy = executor.run([_statement(entry, copy) for entry in audited])
    doubtful = [
        entry
        for entry, reversed_ in zip(audited, on_copy, strict=True)
        if entry.execution is not None
        and reversed_.ok
        and (
            reversed_.digest != entry.execution.digest or orders_rows(entry.question.gold_sql or "")
        )
    ]
    results = executor.run([_statement(entry) for entry in doubtful], preview=ALL_ROWS)
    on_copy = executor.run([_statement(entry, copy) for entry in doubtful], preview=ALL_ROWS)
    for entry, result, reversed_ in zip(doubtful, results, on_copy, strict=True):
        sorts = orders_rows(entry.question.gold_sql or "")
        if not same_result(result.rows, reversed_.rows, Match.STRICT):
            entry.findings.append(Finding.TIES)
        elif sorts and not same_result(result.rows, reversed_.rows, Match.STRICT, ordered=True):
            entry.findings.append(Finding.TIE_ORDER)


def _find_duplicates(audited: Sequence[AuditedQuestion]) -> None:
    """Find questions that repeat an earlier one: same text and evidence, same database."""
    first_ids: dict[tuple[str, ...], str] = {}
    for entry in audited:
        question = entry.question
        words = " ".join(f"{question.text} {question.evidence}".lower().split())
        first_id = first_ids.setdefault((question.db_id, words), question.id)
        if first_id != question.id:
            entry.findings.append(Finding.DUPLICATE)
            entry.detail = entry.detail or f"of {first_id}"


def not_correct_by_themselves(executor: Executor, clean: Sequence[Question]) -> list[str]:
    """Questions whose gold query, judged as a prediction, is wrong; with mode and reason."""
    pairs = [Pair(q.database, q.gold_sql, q.gold_sql) for q in clean]
    wrong: list[str] = []
    for match in Match:
        verdicts = executor.judge(pairs, match=match)
        wrong += [
            f"{question.id} ({match}): {verdict.reason}"
            for question, verdict in zip(clean, verdicts, strict=True)
            if not verdict.correct
        ]
    return wrong


def _say(text: str) -> None:
    print(text, file=sys.stderr)
