"""Self-consistency: candidates vote by the result that they have.

The rules, all deterministic:
- a candidate that does not run has no vote;
- equal results, as sets of rows with 1 equal to 1.0, are one group; an empty result is a result
  like any other unless `empty_votes` is off, and then it wins only where nothing else ran;
- the group with the most votes (or weight) wins; of equal ones the one that appeared first;
- a group is spoken for by its first member;
- where nothing ran, the first candidate is given as it is, decided by `none`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from slmsql.consistency.candidates import Candidate, CandidateSet
from slmsql.consistency.prediction import DecidedBy, Prediction
from slmsql.errors import InputError


class Weight(StrEnum):
    """What a vote counts."""

    COUNT = "count"  # one
    LOGPROB = "logprob"  # the completion's mean token probability
    SOURCE = "source"  # how far its source is trusted (slmsql.sources)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of a vote."""

    weight: Weight = Weight.COUNT
    empty_votes: bool = True
    sources: Mapping[str, float] = field(default_factory=dict)
    """For `Weight.SOURCE`: what a vote of each source counts."""


COUNTING = Rules()


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """Candidates with the same result, in the order in which they came."""

    members: tuple[Candidate, ...]
    weight: float
    """What the votes count together; for `Weight.COUNT` their number."""

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
    candidates: Sequence[Candidate], rules: Rules = COUNTING
) -> tuple[ResultGroup, ...]:
    """The groups of the candidates that ran, best first.

    Raises:
        InputError: weights by log-probability are asked for and a candidate has none.
    """
    members: dict[str | None, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.ok:
            members.setdefault(candidate.digest, []).append(candidate)
    groups = [
        ResultGroup(tuple(same), sum(_weight(candidate, rules) for candidate in same))
        for same in members.values()
    ]
    return tuple(sorted(groups, key=lambda group: -group.weight))  # stable: first appearance


def vote(found: CandidateSet, rules: Rules = COUNTING) -> Prediction:
    """The SQL that the candidates of a question agree on most."""
    groups = group_by_result(found.candidates, rules)
    total = len(found.candidates)
    if not groups:
        return Prediction(found.id, _first_sql(found.candidates), 0, total, DecidedBy.NONE)
    return Prediction(found.id, groups[0].sql, groups[0].votes, total, _decided_by(groups, total))


def confidence(groups: Sequence[ResultGroup]) -> float:
    """How sure it is that the leading group would still lead among ever more samples.

    The probability that the leader is the likelier of the two best, with a flat prior over their
    odds and given their votes: the Beta rule of adaptive consistency (arXiv 2305.11860).
    """
    if not groups:
        return 0.0
    first = groups[0].votes
    second = groups[1].votes if len(groups) > 1 else 0
    total = first + second + 1
    ways: int = sum(math.comb(total, k) for k in range(first + 1))
    return ways / float(2**total)


def is_decided(groups: Sequence[ResultGroup], remaining: int, threshold: float) -> bool:
    """Whether further samples are not worth their price.

    That is when the leader can no longer be reached by the `remaining` samples, or when its lead
    is sure enough. A `threshold` of 1 asks for the former alone, which never changes the winner.
    """
    if not groups or remaining <= 0:
        return remaining <= 0
    second = groups[1].votes if len(groups) > 1 else 0
    if groups[0].votes > second + remaining:
        return True
    return threshold < 1 and confidence(groups) >= threshold


def _weight(candidate: Candidate, rules: Rules) -> float:
    if candidate.is_empty and not rules.empty_votes:
        return 0.0
    if rules.weight is Weight.COUNT:
        return 1.0
    if rules.weight is Weight.SOURCE:
        return rules.sources[candidate.source]
    if candidate.logprob is None:
        raise InputError(
            "a candidate has no log-probability; sample with --logprobs true, or vote with "
            "--weight count"
        )
    return math.exp(candidate.logprob)


def _decided_by(groups: Sequence[ResultGroup], total: int) -> DecidedBy:
    if total == 1:
        return DecidedBy.ONLY
    return DecidedBy.UNANIMOUS if len(groups) == 1 else DecidedBy.MAJORITY


def _first_sql(candidates: Iterable[Candidate]) -> str:
    return next((candidate.sql for candidate in candidates if candidate.sql), "")
