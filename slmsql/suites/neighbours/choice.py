"""The choice of neighbours: the fewest that tell the gold query from all near misses they can."""

from collections import Counter
from collections.abc import Hashable, Mapping, Set
from typing import TypeVar

Name = TypeVar("Name")
Target = TypeVar("Target", bound=Hashable)


def smallest_cover(killed: Mapping[Name, Set[Target]], times: int = 1) -> list[Name]:
    """Names whose targets together are those of all names, chosen greedily, the best one first.

    Greedy choice as in Zhong et al. (arXiv 2010.02840): at each step the name with the most targets
    that are still missing; of equal ones the first.

    Args:
        killed: targets by name.
        times: how many of the chosen names should have each target, if so many names have it.
    """
    having = Counter(target for targets in killed.values() for target in targets)
    missing = Counter({target: min(times, count) for target, count in having.items()})
    left, chosen = dict(killed), list[Name]()
    while +missing:
        best = max(left, key=lambda name: sum(missing[target] > 0 for target in left[name]))
        chosen.append(best)
        missing.subtract(left.pop(best))
    return chosen
