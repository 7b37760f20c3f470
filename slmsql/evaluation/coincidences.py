"""Suite EX: answers that are right on the benchmark's database and on all its neighbours."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from slmsql.evaluation.diagnosis import ErrorClass, differences
from slmsql.evaluation.outcome import Coincidence, Outcome
from slmsql.execution import Executor, Pair
from slmsql.match import Match
from slmsql.suites.neighbours.folder import Suites
from slmsql.suites.neighbours.judging import SuiteVerdict, suite_verdicts
from slmsql.suites.neighbours.witness import find_witness


def with_neighbours(
    outcomes: Sequence[Outcome], suites: Suites, match: Match, executor: Executor
) -> list[Outcome]:
    """Adds `ex_suite`, and to each right answer that a neighbour refuses its coincidence.

    A question without a suite has no `ex_suite`; the card of the suites says why.
    """
    judged = [outcome for outcome in outcomes if outcome.is_judged]
    pairs = [Pair(o.question.database, o.sql, o.question.gold_sql) for o in judged]
    verdicts = executor.judge(pairs, match=match)
    found = suite_verdicts(
        pairs, verdicts, suites, match, lambda more, mode: executor.judge(more, match=mode)
    )
    by_id = {outcome.question.id: verdict for outcome, verdict in zip(judged, found, strict=True)}
    return list(_scored(outcomes, by_id, match, executor))


def _scored(
    outcomes: Sequence[Outcome],
    verdicts: dict[str, SuiteVerdict | None],
    match: Match,
    executor: Executor,
) -> Iterator[Outcome]:
    for outcome in outcomes:
        verdict = verdicts.get(outcome.question.id)
        if verdict is None:
            yield outcome
        else:
            yield replace(
                outcome,
                scores={**outcome.scores, "ex_suite": verdict.right},
                coincidence=_coincidence(outcome, verdict, match, executor),
            )


def _coincidence(
    outcome: Outcome, verdict: SuiteVerdict, match: Match, executor: Executor
) -> Coincidence | None:
    if verdict.parted is None:
        return None
    gold = outcome.question.gold_sql or ""
    parts = differences(outcome.sql, gold)
    pair = Pair(outcome.question.database, outcome.sql, gold)
    witness = find_witness(verdict.parted, pair, match, executor)
    return Coincidence(parts[0] if parts else ErrorClass.OTHER, witness)
