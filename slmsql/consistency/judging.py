"""Which candidates are right: all candidates of all questions, judged in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slmsql.consistency.candidates import Candidate, CandidateSet
from slmsql.consistency.prediction import Prediction
from slmsql.execution import Executor, Pair, Verdict
from slmsql.match import Match
from slmsql.questions.question import Question


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """The candidates of a question and the verdict on each, in the same order."""

    candidate_set: CandidateSet
    verdicts: tuple[Verdict, ...]

    @property
    def id(self) -> str:
        return self.candidate_set.id

    @property
    def is_judged(self) -> bool:
        """Whether each verdict counts: the gold query runs, and the machine never failed."""
        return bool(self.verdicts) and all(
            verdict.gold.ok and not verdict.machine_failed for verdict in self.verdicts
        )

    @property
    def correct(self) -> tuple[bool, ...]:
        """Whether each candidate is right."""
        return tuple(bool(verdict.correct) for verdict in self.verdicts)

    @property
    def correct_by_sql(self) -> dict[str | None, bool]:
        """Whether each distinct SQL among the candidates is right."""
        texts = [candidate.sql for candidate in self.candidate_set.candidates]
        return dict(zip(texts, self.correct, strict=True))


def judge_candidates(
    sets: Sequence[CandidateSet],
    gold: Mapping[str, str | None],
    executor: Executor,
    match: Match = Match.BIRD,
) -> list[JudgedSet]:
    """Judge every candidate against the gold query of its question.

    Args:
        sets: the candidates, which need not have run.
        gold: gold SQL by question id; a question without one is left out of the answer.
        executor: where the SQL runs.
        match: when two results agree.
    """
    sets = [candidate_set for candidate_set in sets if gold.get(candidate_set.id)]
    pairs = [
        Pair(candidate_set.database, candidate.sql, gold[candidate_set.id])
        for candidate_set in sets
        for candidate in candidate_set.candidates
    ]
    verdicts = iter(executor.judge(pairs, match=match))
    return [
        JudgedSet(candidate_set, tuple(next(verdicts) for _ in candidate_set.candidates))
        for candidate_set in sets
    ]


def judge_predictions(
    predictions: Sequence[Prediction],
    questions: Sequence[Question],
    executor: Executor,
    match: Match = Match.BIRD,
) -> dict[str, bool]:
    """Whether each prediction is right, by question id.

    Questions without a gold query, or with one that does not run, are left out. So are those
    whose prediction the machine could not run.
    """
    databases = {question.id: question.database for question in questions}
    gold = {question.id: question.gold_sql for question in questions}
    sets = [
        CandidateSet(prediction.id, "", databases[prediction.id], (Candidate(prediction.sql),))
        for prediction in predictions
        if gold.get(prediction.id)
    ]
    judged = judge_candidates(sets, gold, executor, match)
    return {judged_set.id: judged_set.correct[0] for judged_set in judged if judged_set.is_judged}
