"""Groups that teach nothing: who had one lately sits out, and another row takes the place.

When all completions of a row have the same reward, GRPO learns nothing from them. Such a row is
likely to do the same at its next turn, so it rests: half an epoch longer than one turn after the
first such group, one epoch more for each further one in a row. In its place comes a row that
does not rest. This happens before anything is sampled, so that a step costs as many rollouts as it
does without; resampling afterwards, as in DAPO, pays for the wasted groups first.

In the first epoch nothing is known of a row unless it comes with a pass rate, the share of earlier
samples that were right. Where that is 0 or 1 the row rests from the start, as after one such group.

Everything follows from the pass rates, the rewards so far and the seed: every process decides
alike, and a resumed run decides as the killed one did.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trl import GRPOConfig


def groups_of_update(training: "GRPOConfig") -> float:
    """New groups of one update; below those of a generation that serves several updates."""
    micro_steps = training.steps_per_generation * training.num_iterations  # of one generation
    groups = training.generation_batch_size / training.num_generations
    return groups * training.gradient_accumulation_steps / micro_steps


@dataclass
class Resting:
    """Which rows rest.

    Args:
        ids: all rows, in their order.
        groups: new groups of one update; an epoch is `len(ids) / groups` updates.
        seed: of the choice of replacements.
    """

    ids: Sequence[str]
    groups: float
    seed: int = 0
    _until: dict[str, float] = field(default_factory=dict)
    _wasted: dict[str, int] = field(default_factory=dict)

    def learn(self, step: int, ids: Sequence[str], varied: Sequence[bool]) -> None:
        """Note which groups of a step had rewards that differ."""
        epoch = max(1.0, len(self.ids) / self.groups)
        for identity, has_variance in zip(ids, varied, strict=True):
            streak = 0 if has_variance else self._wasted.get(identity, 0) + 1
            self._wasted[identity] = streak
            self._until[identity] = step + (streak + 0.5) * epoch if streak else step

    def expect(self, pass_rates: Mapping[str, float]) -> None:
        """Note before the first step which rows were always or never solved."""
        self.learn(0, list(pass_rates), [0 < rate < 1 for rate in pass_rates.values()])

    def rests(self, identity: str, step: int) -> bool:
        return step < self._until.get(identity, 0)

    def choose(self, step: int, drawn: Sequence[str]) -> list[str]:
        """The rows of a step: those drawn, with others in the place of those that rest."""
        awake = [row for row in self.ids if not self.rests(row, step)]
        free = sorted(set(awake) - set(drawn))
        random.Random(f"{self.seed}-{step}").shuffle(free)
        return [free.pop() if free and self.rests(row, step) else row for row in drawn]
