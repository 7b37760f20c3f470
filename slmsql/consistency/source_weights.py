"""How far each source of candidates can be trusted, learnt from the candidates alone."""

import math
from collections import Counter
from collections.abc import Sequence

from slmsql.consistency.candidates import CandidateSet


def source_weights(sets: Sequence[CandidateSet]) -> dict[str, float]:
    """The weight of a vote by its source: the log-odds of agreeing with the others' majority.

    A source is a prediction file. The more often a source finds itself among the majority of the
    other candidates, over all questions, the more it counts; one that does so in less than half of
    them counts nothing. No gold is needed.
    """
    agreed: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for found in sets:
        votes = Counter(one.digest for one in found.candidates if one.ok)
        for one in found.candidates:
            asked[one.source] += 1
            agreed[one.source] += one.ok and _is_majority(one.digest, votes)
    return {source: _log_odds(agreed[source], count) for source, count in asked.items()}


def _is_majority(digest: str | None, votes: Counter[str | None]) -> bool:
    """Whether a candidate's result leads among the others."""
    others = votes.copy()
    others[digest] -= 1
    return others[digest] > 0 and others[digest] == max(others.values())


def _log_odds(agreed: int, asked: int) -> float:
    """Of the share with one agreement and one refusal added, so that it stays finite."""
    return max(0.0, math.log((agreed + 1) / (asked - agreed + 1)))
