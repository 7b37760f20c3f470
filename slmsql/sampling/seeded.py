"""Sampling in which one number decides a token.

The number comes from the seed of the completion and the position of the token. So a completion does
not depend on what else is in its batch, and all rows of a batch are sampled at once.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def choose(
    logits: "torch.Tensor",
    numbers: NDArray[np.float64],
    temperatures: list[float],
    top_p: list[float],
) -> "torch.Tensor":
    """The token of each row: where its number lies in the row's cumulative probabilities.

    Args:
        logits: of shape (rows, vocabulary).
        numbers: of each row, from 0 and below 1.
        temperatures: above 0.
        top_p: tokens beyond this probability mass are never chosen.
    """

    import torch

    def column(values: Any) -> "torch.Tensor":
        return torch.as_tensor(values, dtype=torch.float32, device=logits.device)[:, None]

    probabilities = (logits / column(temperatures)).softmax(-1, dtype=torch.float32)
    order = None
    if min(top_p) < 1:
        probabilities, order = probabilities.sort(dim=-1, descending=True)
        mass_before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(mass_before >= column(top_p), 0.0)
    cumulative = probabilities.cumsum(-1)
    total = cumulative[:, -1:]
    # Strictly below the total, or rounding could choose a token without probability.
    threshold = torch.minimum(column(numbers) * total, total.nextafter(torch.zeros_like(total)))
    chosen = torch.searchsorted(cumulative, threshold, right=True)
    return (chosen if order is None else order.gather(1, chosen))[:, 0]


def uniform(seeds: list[int], positions: list[int]) -> NDArray[np.float64]:
    """A number from 0 and below 1 for each seed and position: SplitMix64 (Steele et al. 2014)."""
    steps = np.array(positions, dtype=np.uint64) + np.uint64(1)
    state = np.array(seeds, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
    state += steps * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return (state >> np.uint64(40)).astype(np.float64) / 2**24
