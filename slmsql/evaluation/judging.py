"""Judges the prediction of each question by all metrics in one pass.

A question that cannot be judged (its gold query fails, for instance) is not a wrong answer: it is
left out of all denominators and counted with the reason. So are all questions on a database that is
missing, broken or damaged, whichever statement shows the damage, and each question whose statement
the machine could not run, as when the kernel ends a worker for lack of memory. A prediction that
does not run, or whose result is too large to compare, is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slmsql.errors import InputError
from slmsql.evaluation.coincidences import with_neighbours
from slmsql.evaluation.constructs import constructs
from slmsql.evaluation.diagnosis import differences, error_class
from slmsql.evaluation.outcome import Evaluation, Outcome
from slmsql.evaluation.scores import query_scores, result_scores, timing_scores
from slmsql.evaluation.spider import Catalogs
from slmsql.execution import (
    DAMAGED_DATABASE,
    Execution,
    Executor,
    Pair,
    Statement,
    Status,
    Verdict,
)
from slmsql.execution.engines.address import dialect_of
from slmsql.match import Match, as_executed
from slmsql.questions.question import Question, database_faults
from slmsql.sql.dialect import Dialect
from slmsql.sql.ties import tie_query
from slmsql.suites.neighbours.folder import read_suites

PREVIEW = 20  # rows of each result that an outcome keeps
EXPENSIVE = frozenset({Status.TIMEOUT, Status.TOO_LARGE})


@dataclass(frozen=True, slots=True)
class Extras:
    """What to measure besides the verdicts."""

    queries: bool = True
    """All that is read from the texts of the queries: exact match, constructs, error classes."""
    results: bool = True
    """Soft-F1, which is computed where the complete results are: in the executor's workers."""
    catalogs: Catalogs | None = None
    """For Spider's exact-set match; None to leave it out."""
    suites: Path | None = None
    """Folder with more databases: of `scripts/make_neighbours.py`, for suite EX, or of Spider's
    test suites, `<db_id>/*.sqlite`, for test-suite EX. In the latter, each database of a question
    with a gold query must have some."""
    timings: int = 0
    """How many times to run right answers on SQLite for R-VES and VES; 0 to leave them out."""


ALL = Extras()


def evaluate(
    questions: Sequence[Question],
    predictions: Mapping[str, str],
    *,
    match: Match,
    executor: Executor,
    extras: Extras = ALL,
) -> Evaluation:
    """Judge the prediction of each question that has a usable database, in all modes at once.

    Args:
        questions: with or without databases and gold queries.
        predictions: SQL by question id; required for each question with a usable database.
        match: the mode of the headline figure.
        executor: runs the SQL.
        extras: what to measure besides EX and the share of valid SQL.

    Raises:
        InputError: the folder of suites is missing or lacks a database.
    """
    missing = database_faults(questions)
    available = [question for question in questions if question not in missing]
    suites = read_suites(extras.suites)
    if extras.suites and not suites:
        _check_suites(extras.suites, available)
    verdicts = _verdicts(available, predictions, executor, soft_f1=extras.results)
    outcomes = list(_outcomes(available, predictions, verdicts, executor, extras))
    damaged = {outcome.question.database for outcome in outcomes if _shows_damage(outcome)}
    missing |= {q: DAMAGED_DATABASE for q in available if q.database in damaged}
    outcomes = [outcome for outcome in outcomes if outcome.question.database not in damaged]
    if suites:
        outcomes = with_neighbours(outcomes, suites, match, executor)
    elif extras.suites:
        outcomes = _with_suites(outcomes, extras.suites, executor)
    if extras.queries:
        outcomes = list(_explained(outcomes, match, executor))
    if extras.timings:
        outcomes = [_with_timings(outcome, extras.timings) for outcome in outcomes]
    return Evaluation(match, tuple(outcomes), missing)


def _verdicts(
    questions: Sequence[Question],
    predictions: Mapping[str, str],
    executor: Executor,
    *,
    soft_f1: bool,
) -> dict[str, dict[Match, Verdict]]:
    labelled = [question for question in questions if question.gold_sql is not None]
    verdicts: dict[str, dict[Match, Verdict]] = {question.id: {} for question in questions}
    for mode in Match:
        waiting = []
        for question in labelled:
            verdict = _earlier_verdict(verdicts[question.id], predictions[question.id], mode)
            if verdict is not None:
                verdicts[question.id][mode] = verdict
            else:
                waiting.append(question)
        pairs = [Pair(q.database, predictions[q.id], q.gold_sql) for q in waiting]
        judged = executor.judge(pairs, match=mode, soft_f1=soft_f1 and mode is Match.BIRD)
        for question, verdict in zip(waiting, judged, strict=True):
            verdicts[question.id][mode] = verdict
    return verdicts


def _earlier_verdict(earlier: Mapping[Match, Verdict], sql: str, mode: Match) -> Verdict | None:
    """The verdict of an earlier mode if the prediction exceeded a limit: it would do so again."""
    if as_executed(sql, mode) != sql:
        return None
    verdicts = (verdict for verdict in earlier.values() if verdict.predicted.status in EXPENSIVE)
    return next(verdicts, None)


def _outcomes(
    questions: Sequence[Question],
    predictions: Mapping[str, str],
    verdicts: Mapping[str, Mapping[Match, Verdict]],
    executor: Executor,
    extras: Extras,
) -> Iterator[Outcome]:
    failures = {q.id: _failure(verdicts[q.id]) for q in questions}
    to_run = [q for q in questions if failures[q.id] is None]
    statements = [Statement(q.database, predictions[q.id]) for q in to_run]
    executions = executor.run(statements, preview=PREVIEW)
    results = dict(zip((q.id for q in to_run), executions, strict=True))
    golds = executor.run([Statement(q.database, q.gold_sql) for q in questions], preview=PREVIEW)
    for question, gold in zip(questions, golds, strict=True):
        predicted = failures[question.id] or results[question.id]
        sql = predictions[question.id]
        yield _outcome(question, sql, verdicts[question.id], predicted, gold, extras)


def _failure(verdicts: Mapping[Match, Verdict]) -> Execution | None:
    """The execution of a prediction that failed when it was judged, so need not run again."""
    verdict = verdicts.get(Match.BIRD)
    return verdict.predicted if verdict is not None and not verdict.predicted.ok else None


def _outcome(
    question: Question,
    sql: str,
    verdicts: Mapping[Match, Verdict],
    predicted: Execution,
    gold: Execution,
    extras: Extras,
) -> Outcome:
    if question.gold_sql is None:
        return Outcome(question, sql, predicted, None, left_out="no gold query")
    if any(verdict.machine_failed for verdict in verdicts.values()):
        return Outcome(question, sql, predicted, gold, left_out="machine failed")
    if not gold.ok or any(not verdict.gold.ok for verdict in verdicts.values()):
        return Outcome(question, sql, predicted, gold, left_out="gold query fails")
    correct = {mode: bool(verdict.correct) for mode, verdict in verdicts.items()}
    scores: dict[str, bool | float] = {}
    if extras.queries:
        catalog = extras.catalogs.of(question) if extras.catalogs else None
        scores.update(query_scores(sql, question.gold_sql, catalog))
    if extras.results:
        scores.update(result_scores(verdicts[Match.BIRD]))
    used = constructs(question.gold_sql) if extras.queries else ()
    return Outcome(question, sql, predicted, gold, correct, scores, constructs=used)


def _shows_damage(outcome: Outcome) -> bool:
    executions = (outcome.predicted, outcome.gold)
    return any(execution is not None and execution.kind == "database" for execution in executions)


def _explained(outcomes: Sequence[Outcome], match: Match, executor: Executor) -> Iterator[Outcome]:
    """The outcomes; the wrong ones get their error class and differences."""
    wrong = [o for o in outcomes if o.is_judged and not o.correct[match]]
    ambiguous_ids = _ids_with_ties([o for o in wrong if o.predicted.ok], executor)
    wrong_ids = {o.question.id for o in wrong}
    for outcome in outcomes:
        if outcome.question.id not in wrong_ids or outcome.gold is None:
            yield outcome
            continue
        differing = differences(outcome.sql, outcome.question.gold_sql or "")
        ambiguous = outcome.question.id in ambiguous_ids
        kind = error_class(outcome.predicted, outcome.gold, differing, ambiguous=ambiguous)
        yield replace(outcome, error_class=kind, differences=tuple(differing))


def _ids_with_ties(outcomes: Sequence[Outcome], executor: Executor) -> set[str]:
    """Ids of the questions whose gold query's LIMIT cuts between rows that sort equal."""
    queries = {
        o.question.id: (Statement(o.question.database, query[0]), query[1])
        for o in outcomes
        if (query := tie_query(o.question.gold_sql or "")) is not None
    }
    largest = max((limit for _, limit in queries.values()), default=0)
    executions = executor.run([query for query, _ in queries.values()], preview=largest + 1)
    return {
        question_id
        for (question_id, (_, limit)), execution in zip(queries.items(), executions, strict=True)
        if len(execution.rows) > limit and execution.rows[limit - 1] == execution.rows[limit]
    }


def _check_suites(folder: Path, questions: Sequence[Question]) -> None:
    """Raise unless every database has a suite: a figure of some questions would look like EX."""
    names = sorted({question.db_id for question in questions if question.gold_sql is not None})
    lacking = [name for name in names if not any((folder / name).glob("*.sqlite"))]
    if lacking:
        raise InputError(
            f"{folder} has no suite for {len(lacking)} of {len(names)} databases; expected for "
            f"instance {folder / lacking[0]}/*.sqlite"
        )


def _with_suites(outcomes: Sequence[Outcome], folder: Path, executor: Executor) -> list[Outcome]:
    """Adds test-suite EX: right on the benchmark's database and on all others of its folder."""
    pairs: list[Pair] = []
    question_ids: list[str] = []
    for outcome in outcomes:
        if outcome.is_judged:
            databases = sorted((folder / outcome.question.db_id).glob("*.sqlite"))
            pairs += [Pair(path, outcome.sql, outcome.question.gold_sql) for path in databases]
            question_ids += [outcome.question.id] * len(databases)
    passed: dict[str, bool] = {}
    verdicts = executor.judge(pairs, match=Match.SPIDER)
    for question_id, verdict in zip(question_ids, verdicts, strict=True):
        is_right = verdict.correct is not False
        passed[question_id] = passed.get(question_id, True) and is_right
    return [_with_suite(outcome, passed) for outcome in outcomes]


def _with_suite(outcome: Outcome, passed_others: Mapping[str, bool]) -> Outcome:
    if outcome.question.id not in passed_others:
        return outcome
    passed = passed_others[outcome.question.id] and outcome.correct[Match.SPIDER]
    return replace(outcome, scores={**outcome.scores, "ex_test_suite": passed})


def _with_timings(outcome: Outcome, repeats: int) -> Outcome:
    """Adds R-VES and VES, which are defined for SQLite alone."""
    is_sqlite = dialect_of(outcome.question.database) is Dialect.SQLITE
    if not outcome.is_judged or not is_sqlite:
        return outcome
    return replace(outcome, scores={**outcome.scores, **timing_scores(outcome, repeats)})
