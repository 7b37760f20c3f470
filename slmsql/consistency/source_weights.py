"""How much to trust each source of candidates, estimated from the candidates alone."""

import math
from collections import Counter
from collections.abc import Sequence

from slmsql.consistency.candidates import CandidateSet


def source_weights(sets: Sequence[CandidateSet]) -> dict[str, float]:
    """The weight of each source's votes: its log-odds of agreeing with the majority of the others.

    A source is a prediction file. A source that agrees with the majority on more questions weighs
    more; one that agrees on fewer than half of them weighs 0. No gold queries are needed.
    """
    agreed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for candidate_set in sets:
        votes = Counter(c.digest for c in candidate_set.candidates if c.ok)
        for candidate in candidate_set.candidates:
            total[candidate.source] += 1
            if candidate.ok and _is_majority(candidate.digest, votes):
                agreed[candidate.source] += 1
    return {source: _log_odds(agreed[source], count) for source, count in total.items()}


def _is_majority(digest: str | None, votes: Counter[str | None]) -> bool:
    """Whether a candidate's result has the most votes among the other candidates."""
    others = votes.copy()
    others[digest] -= 1
    return others[digest] > 0 and others[digest] == max(others.values())


def _log_odds(agreed: int, total: int) -> float:
    """Add-one smoothed, so that it stays finite; at least 0."""
    return max(0.0, math.log((agreed + 1) / (total - agreed + 1)))
