"""vLLM's importance sampling correction, without a forward pass of its own.

vLLM's probabilities differ slightly from the trainer's, so TRL weights each token or completion
with the ratio of the two. It computes the trainer's log-probabilities in a pass before the update.
Where the update follows the generation at once, the pass of the update gives the same values: the
weights are the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

METRICS: dict[
    str, Callable[[torch.Tensor], torch.Tensor]
] = {  # TRL's names, and how the values of several processes become one
    "sampling/sampling_logp_difference/mean": torch.mean,
    "sampling/sampling_logp_difference/max": torch.max,
    "sampling/importance_sampling_ratio/min": torch.min,
    "sampling/importance_sampling_ratio/mean": torch.mean,
    "sampling/importance_sampling_ratio/max": torch.max,
}


@dataclass
class Correction:
    """The ratios of the batches of one update.

    Args:
        mode: TRL's `vllm_importance_sampling_mode`.
        clip_min: TRL's `vllm_importance_sampling_clip_min`.
        clip_max: TRL's `vllm_importance_sampling_clip_max`.
    """

    mode: str
    clip_min: float | None
    clip_max: float | None
    _differences: list[torch.Tensor] = field(default_factory=list)
    _ratios: list[torch.Tensor] = field(default_factory=list)

    def ratio(
        self, logprobs: torch.Tensor, sampled: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The ratio of each token, or of each completion as one column.

        Args:
            logprobs: of the trainer.
            sampled: of vLLM; NaN where it has none, which corrects nothing.
            mask: 1 for tokens of completions, 0 for padding.
        """
        differences = ((logprobs.detach() - sampled) * mask).nan_to_num(nan=0.0)
        is_by_sequence = self.mode.startswith("sequence")
        exponents = differences.sum(dim=-1, keepdim=True) if is_by_sequence else differences
        ratio = self._bounded(exponents.exp())
        used = mask.bool() & ~sampled.isnan()
        self._differences.append(differences[used].abs())
        self._ratios.append(ratio.flatten() if is_by_sequence else ratio[mask.bool()])
        return ratio

    def summary(self) -> torch.Tensor:
        """The values of `METRICS` for all batches since the last call."""
        differences, ratios = torch.cat(self._differences), torch.cat(self._ratios)
        self._differences, self._ratios = [], []
        if not (len(differences) and len(ratios)):
            return ratios.new_zeros(len(METRICS))
        of_differences = (differences.mean(), differences.max())
        return torch.stack([*of_differences, ratios.min(), ratios.mean(), ratios.max()])

    def _bounded(self, ratio: torch.Tensor) -> torch.Tensor:
        if self.mode.endswith("truncate"):
            return ratio.clamp(min=self.clip_min, max=self.clip_max)
        low = -math.inf if self.clip_min is None else self.clip_min
        high = math.inf if self.clip_max is None else self.clip_max
        return ratio.masked_fill((ratio < low) | (ratio > high), 0.0)
