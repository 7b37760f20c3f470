"""A reward against completions that run into the limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LengthReward:
    """0 up to a length, then falling in a line to -1 at the limit.

    Counterpart: the soft overlong punishment of DAPO. `SQL-R1` pays for length instead, which we do
    not offer: it teaches to fill pages.

    Args:
        limit: tokens at which a completion is cut off; the trainer's `max_completion_length`.
        share: of the limit, over which the reward falls.
    """

    limit: int = 1024
    share: float = 0.2
    __name__ = "length_reward"

    def __call__(self, completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float | None]:
        begin = self.limit * (1 - self.share)
        return [
            -min(1.0, max(0.0, (len(ids) - begin) / (self.limit - begin))) for ids in completion_ids
        ]


length_reward = LengthReward()
