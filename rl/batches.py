"""Batches of rows of similar length, without the padding that TRL leaves in them.

TRL pads all prompts and completions of a generation to the longest and then makes batches in random
order: a batch of short rows costs as much as one of the longest. Only padding is cut off here, so
losses and log-probabilities are the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

Batch = dict[str, Any]
"""TRL's: `prompt_ids` padded on the left, `completion_ids` on the right, their masks, and more."""


def by_length(batches: Sequence[Batch], batches_per_update: int) -> list[Batch]:
    """The batches of a generation, sorted; the longest rows of an update come first.

    Rows stay within their update, and each update has rows of all lengths.
    """
    result: list[Batch] = []
    for start in range(0, len(batches), batches_per_update):
        part = batches[start : start + batches_per_update]
        rows = _joined(part)
        order = _lengths(rows).argsort(descending=True, stable=True)
        for indices in torch.split(order, len(part[0]["prompt_ids"])):
            result.append({name: _chosen(value, indices) for name, value in rows.items()})
    return result


def cut(batch: Batch) -> Batch:
    """The batch without the columns in which every row is padding."""
    first, _ = _used_columns(batch["prompt_mask"])
    _, end = _used_columns(batch["completion_mask"])
    width = batch["completion_ids"].shape[1]

    def columns(name: str, value: Any) -> Any:
        if name in ("prompt_ids", "prompt_mask"):
            return value[:, first:]
        if isinstance(value, torch.Tensor) and value.dim() == 2 and value.shape[1] == width:
            return value[:, :end]
        return value

    return {name: columns(name, value) for name, value in batch.items()}


def logprobs_by_length(
    score: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor],
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    completion_width: int,
    batch_size: int,
) -> torch.Tensor:
    """Log-probabilities of the completions, a batch of rows of similar length at a time.

    Args:
        score: gives those of a batch from its ids, its mask and the width of its completions.
        input_ids: prompts padded on the left, completions on the right.
    """
    width = input_ids.shape[1]
    result = torch.zeros(len(input_ids), completion_width, device=input_ids.device)
    order = mask.sum(dim=1).argsort(descending=True, stable=True)
    for rows in torch.split(order, batch_size):
        first, end = _used_columns(mask[rows])
        end = max(end, width - completion_width + 1)
        kept = completion_width - (width - end)
        result[rows, :kept] = score(input_ids[rows, first:end], mask[rows, first:end], kept)
    return result


def _joined(batches: Sequence[Batch]) -> Batch:
    return {
        name: torch.cat([batch[name] for batch in batches]) if _is_by_row(value) else value
        for name, value in batches[0].items()
    }


def _chosen(value: Any, indices: torch.Tensor) -> Any:
    return value[indices] if _is_by_row(value) else value


def _is_by_row(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() > 0


def _lengths(rows: Batch) -> torch.Tensor:
    lengths: torch.Tensor = rows["prompt_mask"].sum(dim=1) + rows["completion_mask"].sum(dim=1)
    return lengths


def _used_columns(mask: torch.Tensor) -> tuple[int, int]:
    """The first column that a row uses, and the one after the last; at least one column."""
    used = mask.any(dim=0).nonzero()
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
