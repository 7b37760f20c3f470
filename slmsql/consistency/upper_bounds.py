"""Upper bounds of choosing among candidates: pass@k and top-2@k, beside what the vote reaches.

When sampling stops as soon as a vote is decided, the number of candidates depends on which of them
are right. Then `mean` and `pass_at_k` are estimated from the first round alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slmsql.consistency.candidates import CandidateSet, fixed_count
from slmsql.consistency.judging import JudgedSet, judge_candidates
from slmsql.consistency.voting import COUNTING, VotingRules, group_by_result, vote
from slmsql.execution import Executor
from slmsql.match import Match


@dataclass(frozen=True, slots=True)
class UpperBounds:
    """Shares in percent of the `n` questions that have a gold query which runs."""

    n: int
    match: str
    candidates: float
    """Mean number of candidates per question."""
    k: int | None
    """Number of leading candidates that `mean` and `pass_at_k` are estimated from: all, or those
    of the first round if sampling stopped early; None if questions have different numbers of
    candidates and no first round is recorded."""
    mean: float | None
    """Sampled pass@1: a candidate picked at random is right. None without `k`."""
    vote: float
    """The winner of the vote is right."""
    pass_at_k: float | None
    """Any of `k` candidates is right. None without `k`."""
    any: float
    """Any of the candidates that were drawn is right: the upper bound of every choice."""
    top2_at_k: float
    """One of the two largest groups is right: the upper bound of a revision."""
    left_out: int
    """Questions without gold, whose gold does not run, or on which the machine failed."""

    def line(self) -> str:
        """The figures in one line, for people."""
        left_out = f"; left out {self.left_out}" if self.left_out else ""
        head = f"EX ({self.match}, n={self.n}, {self.candidates:.1f} candidates each): "
        choices = f"vote {self.vote:.1f}, top-2 {self.top2_at_k:.1f}"
        if self.mean is None or self.pass_at_k is None:
            return (
                f"{head}{choices}, any {self.any:.1f}; single and pass@k are left out, because "
                f"questions have different numbers of candidates{left_out}"
            )
        single = f"single {self.mean:.1f}"
        if self.k == self.candidates:
            return f"{head}{single}, {choices}, pass@k {self.pass_at_k:.1f}{left_out}"
        return (
            f"{head}{choices}, any {self.any:.1f}; from the first {self.k} candidates alone: "
            f"{single}, pass@{self.k} {self.pass_at_k:.1f}{left_out}"
        )


def measure(
    sets: Sequence[CandidateSet],
    gold: Mapping[str, str | None],
    executor: Executor,
    *,
    rules: VotingRules = COUNTING,
    match: Match = Match.BIRD,
) -> UpperBounds:
    """Judge candidates that have run, and what each way of choosing one of them gets right.

    Args:
        sets: the candidates of each question.
        gold: gold SQL by question id.
        executor: where the SQL runs.
        rules: the rules of the vote.
        match: when two results agree.
    """
    judged = judge_candidates(sets, gold, executor, match)
    k = fixed_count([judged_set.candidate_set for judged_set in judged])
    scores = [_score(judged_set, rules, k) for judged_set in judged if judged_set.is_judged]
    n = len(scores)
    candidates = sum(len(judged_set.candidate_set.candidates) for judged_set in judged)
    return UpperBounds(
        n=n,
        match=match.value,
        candidates=candidates / max(len(judged), 1),
        k=k,
        mean=None if k is None else _percent(sum(score.mean for score in scores), n),
        vote=_percent(sum(score.vote for score in scores), n),
        pass_at_k=None if k is None else _percent(sum(score.any_of_k for score in scores), n),
        any=_percent(sum(score.any for score in scores), n),
        top2_at_k=_percent(sum(score.top2 for score in scores), n),
        left_out=len(sets) - n,
    )


@dataclass(frozen=True, slots=True)
class _Score:
    """One question: the share of right ones among its first k candidates, and whether each choice
    is right."""

    mean: float
    any_of_k: bool
    vote: bool
    any: bool
    top2: bool


def _score(judged_set: JudgedSet, rules: VotingRules, k: int | None) -> _Score:
    groups = group_by_result(judged_set.candidate_set.candidates, rules)
    correct, correct_by_sql = judged_set.correct, judged_set.correct_by_sql
    leading = correct[:k]
    return _Score(
        mean=sum(leading) / len(leading),
        any_of_k=any(leading),
        vote=correct_by_sql.get(vote(judged_set.candidate_set, rules).sql, False),
        any=any(correct),
        top2=any(correct_by_sql[group.members[0].sql] for group in groups[:2]),
    )


def _percent(count: float, total: int) -> float:
    return 100 * count / total if total else 0.0
