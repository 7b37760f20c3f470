"""Judge predictions question by question, by all metrics in one pass.

A question that cannot be judged is left out of the denominator and counted with the reason; it is
never a wrong answer. A prediction that does not run, or is too large to compare, is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slmsql.evaluation.constructs import constructs
from slmsql.evaluation.diagnosis import differences, error_class, tie_query
from slmsql.evaluation.outcome import Evaluation, Outcome
from slmsql.evaluation.scores import query_scores, result_scores, timing_scores
from slmsql.execution import Execution, Executor, Pair, Statement, Status, Verdict
from slmsql.match import Match, as_executed
from slmsql.questions.question import Question, with_databases
from slmsql.spider import Catalogs

PREVIEW = 20  # rows of each result that an outcome keeps
EXPENSIVE = frozenset({Status.TIMEOUT, Status.TOO_LARGE})
BATCH = 256  # questions whose whole results are in memory at once


@dataclass(frozen=True, slots=True)
class Extras:
    """What is measured beside the verdicts."""

    queries: bool = True
    """Everything that compares the texts of the queries: exact matches, constructs, errors."""
    results: bool = True
    """Soft-F1, for which whole results are needed."""
    catalogs: Catalogs | None = None
    """For Spider's exact-set match."""
    suites: Path | None = None
    """Folder with further databases of each question, `<db_id>/*.sqlite`, for test-suite EX."""
    timings: int = 0
    """How often right answers are timed for R-VES and VES."""


ALL = Extras()


def evaluate(
    questions: Sequence[Question],
    predictions: Mapping[str, str],
    *,
    match: Match,
    executor: Executor,
    extras: Extras = ALL,
) -> Evaluation:
    """Judge the prediction of each question that has a database, in all modes at once.

    Args:
        questions: with or without databases and gold queries.
        predictions: SQL by question id; one for each question with a database.
        match: the mode that gives the headline.
        executor: where SQL runs.
        extras: what is measured beside EX and the share of valid SQL.
    """
    found, missing = with_databases(questions)
    verdicts = _verdicts(found, predictions, executor)
    outcomes: list[Outcome] = []
    for start in range(0, len(found), BATCH):
        part = found[start : start + BATCH]
        outcomes += _outcomes(part, predictions, verdicts, executor, extras)
    if extras.suites:
        outcomes = _with_suites(outcomes, extras.suites, executor)
    if extras.queries:
        outcomes = list(_explained(outcomes, match, executor))
    if extras.timings:
        outcomes = [_timed(outcome, extras.timings) for outcome in outcomes]
    return Evaluation(match, tuple(outcomes), tuple(missing))


def _verdicts(
    questions: Sequence[Question], predictions: Mapping[str, str], executor: Executor
) -> dict[str, dict[Match, Verdict]]:
    labelled = [question for question in questions if question.gold_sql is not None]
    verdicts: dict[str, dict[Match, Verdict]] = {question.id: {} for question in questions}
    for mode in Match:
        waiting = []
        for question in labelled:
            if known := _known(verdicts[question.id], predictions[question.id], mode):
                verdicts[question.id][mode] = known
            else:
                waiting.append(question)
        pairs = [Pair(q.database, predictions[q.id], q.gold_sql) for q in waiting]
        for question, verdict in zip(waiting, executor.judge(pairs, match=mode), strict=True):
            verdicts[question.id][mode] = verdict
    return verdicts


def _known(found: Mapping[Match, Verdict], sql: str, mode: Match) -> Verdict | None:
    """The verdict on what has used up a limit in an earlier mode; it would cost as much again."""
    if as_executed(sql, mode) != sql:
        return None
    verdicts = (verdict for verdict in found.values() if verdict.predicted.status in EXPENSIVE)
    return next(verdicts, None)


def _outcomes(
    questions: Sequence[Question],
    predictions: Mapping[str, str],
    verdicts: Mapping[str, Mapping[Match, Verdict]],
    executor: Executor,
    extras: Extras,
) -> Iterator[Outcome]:
    preview = executor.limits.rows if extras.results else PREVIEW
    known = {q.id: _failure(verdicts[q.id]) for q in questions}
    runs = [q for q in questions if known[q.id] is None]
    statements = [Statement(q.database, predictions[q.id]) for q in runs]
    ran = dict(zip((q.id for q in runs), executor.run(statements, preview=preview), strict=True))
    golds = executor.run([Statement(q.database, q.gold_sql) for q in questions], preview=preview)
    for question, gold in zip(questions, golds, strict=True):
        mine = known[question.id] or ran[question.id]
        sql = predictions[question.id]
        yield _outcome(question, sql, verdicts[question.id], mine, gold, extras)


def _failure(verdicts: Mapping[Match, Verdict]) -> Execution | None:
    """What became of a prediction that has failed already: there is no result to fetch again."""
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
    short = replace(predicted, rows=predicted.rows[:PREVIEW])
    if question.gold_sql is None:
        return Outcome(question, sql, short, None, left_out="no gold query")
    wanted = replace(gold, rows=gold.rows[:PREVIEW])
    if not gold.ok or any(not verdict.gold.ok for verdict in verdicts.values()):
        return Outcome(question, sql, short, wanted, left_out="gold query fails")
    correct = {mode: bool(verdict.correct) for mode, verdict in verdicts.items()}
    scores: dict[str, bool | float] = {}
    if extras.queries:
        catalog = extras.catalogs.of(question) if extras.catalogs else None
        scores.update(query_scores(sql, question.gold_sql, catalog))
    if extras.results:
        scores.update(result_scores(predicted, gold))
    used = constructs(question.gold_sql) if extras.queries else ()
    return Outcome(question, sql, short, wanted, correct, scores, constructs=used)


def _explained(outcomes: Sequence[Outcome], match: Match, executor: Executor) -> Iterator[Outcome]:
    """Wrong answers with the reason."""
    wrong = [o for o in outcomes if o.is_judged and not o.correct[match]]
    ambiguous = _with_ties([o for o in wrong if o.predicted.ok], executor)
    reasons = {o.question.id for o in wrong}
    for outcome in outcomes:
        if outcome.question.id not in reasons or outcome.gold is None:
            yield outcome
            continue
        found = differences(outcome.sql, outcome.question.gold_sql or "")
        kind = error_class(
            outcome.predicted, outcome.gold, found, ambiguous=outcome.question.id in ambiguous
        )
        yield replace(outcome, error_class=kind, differences=tuple(found))


def _with_ties(outcomes: Sequence[Outcome], executor: Executor) -> set[str]:
    """Questions whose gold query cuts off rows that sort equal to some that it keeps."""
    asked = {
        o.question.id: (Statement(o.question.database, query[0]), query[1])
        for o in outcomes
        if (query := tie_query(o.question.gold_sql or "")) is not None
    }
    limit = max((count for _, count in asked.values()), default=0)
    executions = executor.run([statement for statement, _ in asked.values()], preview=limit + 1)
    return {
        identity
        for (identity, (_, count)), found in zip(asked.items(), executions, strict=True)
        if len(found.rows) > count and found.rows[count - 1] == found.rows[count]
    }


def _with_suites(outcomes: Sequence[Outcome], folder: Path, executor: Executor) -> list[Outcome]:
    """Test-suite EX: right on the benchmark's database and on each further one."""
    pairs: list[Pair] = []
    owners: list[str] = []
    for outcome in outcomes:
        if outcome.is_judged:
            databases = sorted((folder / outcome.question.db_id).glob("*.sqlite"))
            pairs += [Pair(path, outcome.sql, outcome.question.gold_sql) for path in databases]
            owners += [outcome.question.id] * len(databases)
    right: dict[str, bool] = {}
    verdicts = executor.judge(pairs, match=Match.SPIDER)
    for owner, verdict in zip(owners, verdicts, strict=True):
        right[owner] = right.get(owner, True) and verdict.correct is not False
    return [_with_suite(outcome, right) for outcome in outcomes]


def _with_suite(outcome: Outcome, right: Mapping[str, bool]) -> Outcome:
    if outcome.question.id not in right:
        return outcome
    passed = right[outcome.question.id] and outcome.correct[Match.SPIDER]
    return replace(outcome, scores={**outcome.scores, "ex_test_suite": passed})


def _timed(outcome: Outcome, repeats: int) -> Outcome:
    if not outcome.is_judged:
        return outcome
    return replace(outcome, scores={**outcome.scores, **timing_scores(outcome, repeats)})
