"""Skip rows whose group is likely to have no variance, before anything is sampled.

When all completions of a row get the same reward, their advantages are 0 and GRPO learns nothing
from the group. The same row is likely to give such a group at its next turn too. It is therefore
skipped for half an epoch longer than one turn after its first zero-variance group, and for one
epoch more after each further one in a row. Another row takes its place. A step costs as many
rollouts as without skipping; resampling afterwards, as in DAPO, pays for the wasted groups first.

In the first epoch there are no rewards to go by. A row may come with a pass rate, the share of
earlier samples that were correct: a rate of 0 or 1 counts as one zero-variance group.

The choice follows from pass rates, rewards and the seed alone: every process makes the same one,
and a resumed run makes the one that the killed run made.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trl import GRPOConfig


def has_variance(rewards: Sequence[float]) -> bool:
    """Whether the rewards of a group differ; NaN marks a completion that was not judged."""
    judged = [reward for reward in rewards if not math.isnan(reward)]
    return bool(judged) and max(judged) - min(judged) > 1e-6


def groups_per_update(training: "GRPOConfig") -> float:
    """How many groups are sampled for one optimizer update.

    Fewer than a generation has where one generation serves several updates.
    """
    size, steps = training.generation_batch_size, training.steps_per_generation
    if not (size and steps and training.num_generations):
        raise ValueError("GRPOConfig fills in these sizes; this one has not been initialised")
    micro_batches = steps * training.num_iterations  # that one generation serves
    groups = size / training.num_generations
    return groups * training.gradient_accumulation_steps / micro_batches


@dataclass
class ZeroVarianceFilter:
    """Decides which rows a step skips.

    Args:
        ids: of all rows, in their order.
        groups: sampled for one update; an epoch is `len(ids) / groups` updates.
        seed: of the choice of replacements.
    """

    ids: Sequence[str]
    groups: float
    seed: int = 0
    _skipped_until: dict[str, float] = field(default_factory=dict)
    _streaks: dict[str, int] = field(default_factory=dict)

    def record(self, step: int, ids: Sequence[str], variance: Sequence[bool]) -> None:
        """Note which groups of a step had variance."""
        epoch = max(1.0, len(self.ids) / self.groups)
        for row_id, varies in zip(ids, variance, strict=True):
            streak = 0 if varies else self._streaks.get(row_id, 0) + 1
            self._streaks[row_id] = streak
            self._skipped_until[row_id] = step + (streak + 0.5) * epoch if streak else step

    def record_pass_rates(self, pass_rates: Mapping[str, float]) -> None:
        """Before the first step: note which rows were always or never solved."""
        self.record(0, list(pass_rates), [0 < rate < 1 for rate in pass_rates.values()])

    def skips(self, row_id: str, step: int) -> bool:
        return step < self._skipped_until.get(row_id, 0)

    def replace(self, step: int, drawn: Sequence[str]) -> list[str]:
        """The rows drawn for a step, with other rows in the place of those it skips."""
        usable = [row_id for row_id in self.ids if not self.skips(row_id, step)]
        free = sorted(set(usable) - set(drawn))
        random.Random(f"{self.seed}-{step}").shuffle(free)
        return [free.pop() if free and self.skips(row_id, step) else row_id for row_id in drawn]
