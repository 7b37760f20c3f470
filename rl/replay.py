"""Groups that taught something take the place of groups that teach nothing.

A group whose rewards are all the same leaves its share of an update empty. A stored group of an
earlier step, whose rewards differ, fills it: with the advantages it had and the log-probabilities
under which it was sampled, so that the importance ratio of the loss says how far the model has
moved since, and its clip ends what has been learnt from it. Nothing is sampled for it, and
`rollouts/` does not name it again.

Every process holds the same groups and draws by the step and the seed: all decide alike, however
a batch is divided among them. The groups are saved with each checkpoint.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FILE = "replay.safetensors"
# What TRL's batch has for each token of a completion, beside `completion_ids`; not all are there.
PER_TOKEN = (
    "completion_mask",
    "old_per_token_logps",
    "ref_per_token_logps",
    "sampling_per_token_logps",
    "importance_sampling_ratio",
)

Row = dict[str, "torch.Tensor"]
Batch = dict[str, Any]


@dataclass
class Replay:
    """The last groups whose rewards differed.

    Args:
        size: groups that are kept.
        seed: of the choice among them.
    """

    size: int
    seed: int = 0
    groups: "deque[list[Row]]" = field(init=False)

    def __post_init__(self) -> None:
        self.groups = deque(maxlen=self.size)

    def choose(self, step: int, varied: Sequence[bool]) -> dict[int, Row]:
        """Rows of stored groups by the places in the batch that they take.

        Args:
            step: the update that the batch is for.
            varied: for each group of the batch whether its rewards differ.
        """
        wasted = [number for number, taught in enumerate(varied) if not taught]
        count = min(len(wasted), len(self.groups))
        drawn = random.Random(f"{self.seed}-{step}").sample(list(self.groups), count)
        return {
            number * len(group) + place: row
            for number, group in zip(wasted, drawn, strict=False)
            for place, row in enumerate(group)
        }

    def learn(self, rows: Sequence[Row], generations: int) -> None:
        """Keep new groups: their rows, one group after the other."""
        for first in range(0, len(rows), generations):
            self.groups.append(list(rows[first : first + generations]))

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        tensors = {
            f"{group}/{row}/{name}": tensor
            for group, rows in enumerate(self.groups)
            for row, one in enumerate(rows)
            for name, tensor in one.items()
        }
        save_file(tensors, folder / FILE)

    def load(self, folder: Path) -> None:
        """Take the groups of a checkpoint; one that was made without a replay has none."""
        from safetensors.torch import load_file

        if not (folder / FILE).is_file():
            return
        found: dict[int, dict[int, Row]] = {}
        for key, tensor in load_file(folder / FILE).items():
            group, row, name = key.split("/")
            found.setdefault(int(group), {}).setdefault(int(row), {})[name] = tensor
        self.groups.extend([rows[row] for row in sorted(rows)] for _, rows in sorted(found.items()))


def rows_of(batch: Batch, places: Sequence[int]) -> list[Row]:
    """Rows of TRL's batch without their padding, on the CPU."""
    return [_row(batch, place) for place in places]


def with_rows(batch: Batch, rows: dict[int, Row], pad_id: int) -> Batch:
    """The batch with other rows at some places, padded anew."""
    count = len(batch["advantages"])
    device = batch["advantages"].device
    new = [rows.get(place) or _row(batch, place) for place in range(count)]
    return {**batch, **{name: value.to(device) for name, value in _padded(new, pad_id).items()}}


def _row(batch: Batch, place: int) -> Row:
    prompt = batch["prompt_mask"][place].bool()
    # A completion that was cut off may be masked whole; a token of it holds its place.
    length = max(1, int(batch["completion_mask"][place].sum()))
    width = batch["completion_ids"].shape[1]
    row = {
        "prompt_ids": batch["prompt_ids"][place][prompt],
        "completion_ids": batch["completion_ids"][place][:length],
        "advantages": batch["advantages"][place],
    }
    for name in PER_TOKEN:
        if name in batch:  # a ratio of a whole sequence is one number
            row[name] = batch[name][place].expand(width)[:length]
    return {name: tensor.detach().cpu().clone() for name, tensor in row.items()}


def _padded(rows: Sequence[Row], pad_id: int) -> Batch:
    import torch
    from trl.trainer.utils import pad

    prompts = [row["prompt_ids"] for row in rows]
    batch = {
        "prompt_ids": pad(prompts, padding_value=pad_id, padding_side="left"),
        "prompt_mask": pad([torch.ones_like(ids) for ids in prompts], padding_side="left"),
        "completion_ids": pad([row["completion_ids"] for row in rows], padding_value=pad_id),
        "advantages": torch.stack([row["advantages"] for row in rows]),
    }
    return batch | {name: pad([row[name] for row in rows]) for name in PER_TOKEN if name in rows[0]}
