"""Which gold queries can be trusted: what fails, hangs on ties or chance, or stands twice.

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
from slmsql.match import Match, orders_rows, same_result
from slmsql.questions.question import Question, with_databases

WHOLE = 10**9  # rows of a preview: all that the limits let through


class Finding(StrEnum):
    """Why a question is no good as it stands."""

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
class Audited:
    """A question and what was found."""

    question: Question
    findings: list[Finding] = field(default_factory=list)
    detail: str = ""
    execution: Execution | None = None

    def as_record(self) -> dict[str, object]:
        record: dict[str, object] = {
            "id": self.question.id,
            "db_id": self.question.db_id,
            "findings": self.findings,
            "detail": self.detail,
            "gold_sql": self.question.gold_sql,
        }
        if self.execution is not None:
            record |= {"rows": self.execution.row_count, "steps": self.execution.steps}
        return record


def audit(
    questions: Sequence[Question], executor: Executor, *, largest_copy: int = 500
) -> list[Audited]:
    """Every question with its findings, in their order.

    Ties are found by running the query on a copy of its database with all rows reversed.

    Args:
        largest_copy: databases with more megabytes are not copied, so not searched for ties.

    Raises:
        InputError: none of the databases is there.
    """
    audited = [Audited(question) for question in questions]
    runnable = _with_database_and_gold(audited)
    _say(f"running {len(runnable)} gold queries")
    _run(executor, runnable)
    _find_ties(executor, [one for one in runnable if _ran(one)], largest_copy)
    _find_duplicates(audited)
    return audited


def clean_questions(audited: Sequence[Audited], match: Match) -> list[Question]:
    """Those without a finding; the order of ties is none where results are compared as sets."""
    harmless = {Finding.TIE_ORDER} if match is Match.BIRD else set()
    return [one.question for one in audited if not set(one.findings) - harmless]


def _with_database_and_gold(audited: Sequence[Audited]) -> list[Audited]:
    _, missing = with_databases(one.question for one in audited)
    absent = {question.id for question in missing}
    for one in audited:
        if one.question.id in absent:
            one.findings.append(Finding.NO_DATABASE)
        if one.question.gold_sql is None:
            one.findings.append(Finding.NO_GOLD)
    if len(absent) == len(audited):
        raise InputError(f"no database of any question is there, {missing[0].database} for one")
    return [one for one in audited if not one.findings]


def _run(executor: Executor, audited: Sequence[Audited]) -> None:
    executions = executor.run([_statement(one) for one in audited])
    for one, execution in zip(audited, executions, strict=True):
        one.execution = execution
        if not execution.ok:
            one.findings.append(BY_STATUS[execution.status])
            one.detail = execution.error or ""
        elif execution.row_count == 0:
            one.findings.append(Finding.EMPTY)
        if execution.volatile:
            one.findings.append(Finding.VOLATILE)


def _ran(one: Audited) -> bool:
    return one.execution is not None and one.execution.ok and not one.execution.volatile


def _statement(one: Audited, database: Path | None = None) -> Statement:
    return Statement(database or one.question.database, one.question.gold_sql)


def _find_ties(executor: Executor, audited: list[Audited], largest: int) -> None:
    by_database: dict[Path, list[Audited]] = {}
    for one in audited:
        by_database.setdefault(one.question.database, []).append(one)
    for position, (database, many) in enumerate(by_database.items(), start=1):
        if position % 20 == 0 or position == len(by_database):
            _say(f"ties: {position} of {len(by_database)} databases")
        if database.stat().st_size > largest * 10**6:
            _say(f"ties: {database.name} is larger than {largest} MB, left out")
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / database.name
            try:
                create_reversed_copy(database, copy)
            except InputError as error:
                _say(f"ties: {error}, left out")
                continue
            _compare_with(executor, copy, many)


def _compare_with(executor: Executor, copy: Path, audited: list[Audited]) -> None:
    """Compare in the worker where sets of rows decide, here where order or rounding does."""
    again = executor.run([_statement(one, copy) for one in audited])
    doubtful = [
        one
        for one, other in zip(audited, again, strict=True)
        if one.execution is not None
        and other.ok
        and (other.digest != one.execution.digest or orders_rows(one.question.gold_sql or ""))
    ]
    here = executor.run([_statement(one) for one in doubtful], preview=WHOLE)
    there = executor.run([_statement(one, copy) for one in doubtful], preview=WHOLE)
    for one, mine, other in zip(doubtful, here, there, strict=True):
        if not same_result(mine.rows, other.rows, Match.STRICT):
            one.findings.append(Finding.TIES)
        elif orders_rows(one.question.gold_sql or "") and not same_result(
            mine.rows, other.rows, Match.STRICT, ordered=True
        ):
            one.findings.append(Finding.TIE_ORDER)


def _find_duplicates(audited: Sequence[Audited]) -> None:
    """The same question, with the same evidence, on the same database a second time."""
    seen: dict[tuple[str, ...], str] = {}
    for one in audited:
        question = one.question
        words = " ".join(f"{question.text} {question.evidence}".lower().split())
        first = seen.setdefault((question.db_id, words), question.id)
        if first != question.id:
            one.findings.append(Finding.DUPLICATE)
            one.detail = one.detail or f"of {first}"


def not_correct_by_themselves(executor: Executor, clean: Sequence[Question]) -> list[str]:
    """Questions whose gold query is not right as a prediction, with the mode and the reason."""
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
