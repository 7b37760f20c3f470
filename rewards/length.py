"""A reward against completions that run into the token limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LengthReward:
    """0 for most completions; falls linearly to -1 as the length approaches the limit.

    Follows the soft overlong punishment of DAPO. SQL-R1 rewards length instead. We do not offer
    that, because it teaches the model to pad its answers.

    Args:
        limit: tokens at which a completion is cut off: the trainer's `max_completion_length`.
        share: the last part of the limit, over which the reward falls. With 0.2 and a limit of
            1,024 tokens it falls from token 819 on.
    """

    limit: int = 1024
    share: float = 0.2
    __name__ = "length_reward"

    def __call__(self, completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float | None]:
        free = self.limit * (1 - self.share)
        return [
            -min(1.0, max(0.0, (len(ids) - free) / (self.limit - free))) for ids in completion_ids
        ]


length_reward = LengthReward()
