"""How good a vote is, and what better choosing could gain: pass@k and top-2@k beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slmsql.consistency.candidates import CandidateSet
from slmsql.consistency.prediction import Prediction
from slmsql.consistency.voting import COUNTING, Rules, group_by_result, vote
from slmsql.execution import Executor, Pair
from slmsql.match import Match
from slmsql.questions.question import Question


@dataclass(frozen=True, slots=True)
class UpperBounds:
    """Shares in percent of the `n` questions that have a gold query which runs."""

    n: int
    match: str
    candidates: float
    """Mean number of candidates of a question."""
    mean: float
    """A candidate picked at random: sampled pass@1."""
    vote: float
    pass_at_k: float
    top2_at_k: float
    left_out: int
    """Questions without gold, or whose gold does not run."""

    def line(self) -> str:
        """One line for people."""
        return (
            f"EX ({self.match}, n={self.n}, {self.candidates:.1f} candidates each): "
            f"single {self.mean:.1f}, vote {self.vote:.1f}, top-2 {self.top2_at_k:.1f}, "
            f"pass@k {self.pass_at_k:.1f}" + (f"; left out {self.left_out}" * bool(self.left_out))
        )


@dataclass(frozen=True, slots=True)
class _Score:
    """One question: the share of right candidates, and whether each choice is right."""

    mean: float
    vote: bool
    any: bool
    top2: bool


def measure(
    sets: Sequence[CandidateSet],
    gold: Mapping[str, str | None],
    executor: Executor,
    *,
    rules: Rules = COUNTING,
    match: Match = Match.BIRD,
) -> UpperBounds:
    """Judge the candidates of each question (already run) against its gold query."""
    known = [found for found in sets if gold.get(found.id)]
    pairs = [
        Pair(found.database, one.sql, gold[found.id]) for found in known for one in found.candidates
    ]
    verdicts = iter(executor.judge(pairs, match=match))
    scores = []
    for found in known:
        judged = [next(verdicts) for _ in found.candidates]
        if judged and all(verdict.gold.ok for verdict in judged):
            right = {
                one.sql: bool(verdict.correct)
                for one, verdict in zip(found.candidates, judged, strict=True)
            }
            scores.append(_score(found, right, rules))
    n = len(scores)
    return UpperBounds(
        n=n,
        match=match.value,
        candidates=sum(len(found.candidates) for found in known) / max(len(known), 1),
        mean=_percent(sum(score.mean for score in scores), n),
        vote=_percent(sum(score.vote for score in scores), n),
        pass_at_k=_percent(sum(score.any for score in scores), n),
        top2_at_k=_percent(sum(score.top2 for score in scores), n),
        left_out=len(sets) - n,
    )


def judge_predictions(
    predictions: Sequence[Prediction],
    questions: Sequence[Question],
    executor: Executor,
    match: Match,
) -> dict[str, bool]:
    """Whether each prediction is right, by id; only where there is gold and it runs."""
    asked = {question.id: question for question in questions if question.gold_sql}
    known = [one for one in predictions if one.id in asked]
    pairs = [Pair(asked[one.id].database, one.sql, asked[one.id].gold_sql) for one in known]
    verdicts = executor.judge(pairs, match=match)
    return {
        one.id: bool(verdict.correct)
        for one, verdict in zip(known, verdicts, strict=True)
        if verdict.gold.ok
    }


def _score(found: CandidateSet, right: Mapping[str | None, bool], rules: Rules) -> _Score:
    groups = group_by_result(found.candidates, rules)
    verdicts = [right[one.sql] for one in found.candidates]
    return _Score(
        mean=sum(verdicts) / len(verdicts),
        vote=right.get(vote(found, rules).sql, False),
        any=any(verdicts),
        top2=any(right[group.members[0].sql] for group in groups[:2]),
    )


def _percent(count: float, total: int) -> float:
    return 100 * count / total if total else 0.0
