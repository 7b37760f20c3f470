"""Self-consistency: candidates with the same result form a group, and the largest group wins.

The rules, all deterministic:
- A candidate that does not run has no vote.
- Results are compared by the candidates' digests, which belong to a match mode: in `bird`, they
  are those of sets of rows, where 1 equals 1.0. An empty result counts like any other; with
  `empty_votes` off, it wins only if every candidate that ran has an empty result.
- The group with the most votes (or the most weight) wins; ties go to the group that appeared first.
- The SQL of a group is that of its first member.
- If no candidate ran, the first one with SQL is returned, decided by `none`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from slmsql.consistency.candidates import Candidate, CandidateSet
from slmsql.consistency.prediction import DecidedBy, Prediction
from slmsql.errors import InputError


class VoteWeight(StrEnum):
    """How much one vote counts."""

    COUNT = "count"  # 1
    LOGPROB = "logprob"  # the completion's mean token probability
    SOURCE = "source"  # how much its source is trusted (source_weights)


@dataclass(frozen=True, slots=True)
class VotingRules:
    """The settings of a vote."""

    weight: VoteWeight = VoteWeight.COUNT
    empty_votes: bool = True
    sources: Mapping[str, float] = field(default_factory=dict)
    """For `VoteWeight.SOURCE`: the weight of each source's votes."""


COUNTING = VotingRules()


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """Candidates with the same result, in the order in which they were sampled."""

    members: tuple[Candidate, ...]
    weight: float
    """Sum of the votes' weights; for `VoteWeight.COUNT` the number of votes."""

    @property
    def votes(self) -> int:
        return len(self.members)

    @property
    def sql(self) -> str:
        return self.members[0].sql or ""

    @property
    def digest(self) -> str | None:
        return self.members[0].digest


def group_by_result(
    candidates: Sequence[Candidate], rules: VotingRules = COUNTING
) -> tuple[ResultGroup, ...]:
    """Group the candidates that ran by their result, the heaviest group first.

    Raises:
        InputError: votes are weighted by log-probability and a candidate has none.
    """
    members: dict[str | None, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.ok:
            members.setdefault(candidate.digest, []).append(candidate)
    groups = [
        ResultGroup(tuple(same), sum(_weight(candidate, rules) for candidate in same))
        for same in members.values()
    ]
    return tuple(sorted(groups, key=lambda group: -group.weight))  # ties keep the order of members


def vote(candidate_set: CandidateSet, rules: VotingRules = COUNTING) -> Prediction:
    """Choose the SQL that most candidates of a question agree on."""
    groups = group_by_result(candidate_set.candidates, rules)
    total = len(candidate_set.candidates)
    if not groups:
        first = next((c.sql for c in candidate_set.candidates if c.sql), "")
        return Prediction(candidate_set.id, first, 0, total, DecidedBy.NONE)
    if total == 1:
        decided_by = DecidedBy.ONLY
    else:
        decided_by = DecidedBy.UNANIMOUS if len(groups) == 1 else DecidedBy.MAJORITY
    return Prediction(candidate_set.id, groups[0].sql, groups[0].votes, total, decided_by)


def confidence(groups: Sequence[ResultGroup]) -> float:
    """The probability that the leading group would still lead after many more samples.

    That is, the posterior probability that the leader is more likely than the runner-up, given
    their votes and a uniform prior: the Beta rule of adaptive consistency (arXiv 2305.11860).
    """
    voting = [group for group in groups if group.weight > 0]  # the others cannot win
    if not voting:
        return 0.0
    first = voting[0].votes
    second = voting[1].votes if len(voting) > 1 else 0
    total = first + second + 1
    ways = combinations = 1  # of none among `total`
    for k in range(first):
        combinations = combinations * (total - k) // (k + 1)
        ways += combinations
    return ways / (1 << total)  # as floats, both integers would overflow above 1,000 votes


def is_decided(groups: Sequence[ResultGroup], remaining: int, threshold: float) -> bool:
    """Whether to stop sampling.

    The vote is decided when the `remaining` samples cannot change the winner, or when `confidence`
    reaches the threshold. With a `threshold` of 1 only the first rule applies, so that stopping
    never changes the winner. No sample weighs more than 1.
    """
    if not groups or remaining <= 0:
        return remaining <= 0
    second = groups[1].weight if len(groups) > 1 else 0.0
    if groups[0].weight > second + remaining:
        return True
    return threshold < 1 and confidence(groups) >= threshold


def _weight(candidate: Candidate, rules: VotingRules) -> float:
    if candidate.is_empty and not rules.empty_votes:
        return 0.0
    if rules.weight is VoteWeight.COUNT:
        return 1.0
    if rules.weight is VoteWeight.SOURCE:
        return rules.sources[candidate.source]
    if candidate.logprob is None:
        raise InputError(
            "a candidate has no log-probability; sample with --logprobs true, or vote with "
            "--weight count"
        )
    return math.exp(candidate.logprob)
