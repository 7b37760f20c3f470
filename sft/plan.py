"""What a run will take - tokens, steps, memory by part, time - before any weights are loaded.

    python sft/train.py --config configs/sft/NAME.yaml --plan [--plan_gpu H100 --plan_gpus 8]

Tokens and steps are counted on the real data with the real tokenizer and packing, parameters on the
model built without memory (slmsql/training/memory.py, which also estimates memory part by part for
one device; slmsql/training/plan_time.py estimates the time).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from slmsql.training.attention import keeps_rows_apart
from slmsql.training.memory import (
    Batch,
    MemoryEstimate,
    Parameters,
    count_parameters,
    estimate_memory,
    flops_per_token,
    planned_attention,
)
from slmsql.training.plan_time import Work, attention_flops

if TYPE_CHECKING:
    from transformers import PretrainedConfig
    from trl import ModelConfig, SFTConfig


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a run will take."""

    rows: int
    tokens: int
    """Of one epoch."""
    loss_tokens: int
    """Of one epoch: tokens that carry loss."""
    largest_batch: int
    """Tokens of a device's largest batch."""
    steps: int
    parameters: Parameters
    attention: str
    memory: MemoryEstimate
    work: Work
    rows_that_fit: Callable[[float], int]
    """The largest micro-batch, in rows or packs, for a device with so many bytes; may be 0."""


def make_plan(
    lengths: Sequence[int],
    loss_tokens: int,
    *,
    config: "PretrainedConfig",
    training: "SFTConfig",
    model: "ModelConfig",
    devices: int,
    zero: int,
) -> TrainingPlan:
    """Plan a run.

    Args:
        lengths: tokens of each row.
        loss_tokens: number of tokens that carry loss.
        devices: number of devices that share each step.
        zero: DeepSpeed's ZeRO stage; 0 without DeepSpeed.
    """
    sizes = packed_sizes(lengths, training) if training.packing else list(lengths)
    steps, epochs = steps_and_epochs(len(sizes), training, devices)
    parameters = count_parameters(config, model)
    attention = planned_attention(model, config)
    loss_share = loss_tokens / sum(lengths)

    def memory_of(batch: Batch) -> MemoryEstimate:
        return estimate_memory(
            config, parameters, batch, training, model, devices=devices, zero=zero
        )

    def largest(rows: int) -> Batch:
        return largest_batch(sizes, rows, loss_share, training, attention)

    def rows_that_fit(room: float) -> int:
        tries = range(1, len(sizes) + 1)
        return bisect_right(tries, room, key=lambda rows: memory_of(largest(rows)).total)

    batch = largest(training.per_device_train_batch_size)
    return TrainingPlan(
        rows=len(lengths),
        tokens=sum(lengths),
        loss_tokens=loss_tokens,
        largest_batch=batch.tokens,
        steps=steps,
        parameters=parameters,
        attention=attention,
        memory=memory_of(batch),
        work=Work(
            weights=sum(lengths) * epochs * flops_per_token(parameters, training),
            attention=epochs
            * attention_flops(
                config,
                attention_pairs(lengths, sizes, training, attention),
                checkpointing=training.gradient_checkpointing,
            ),
            # As if one device ran them all, like the operations.
            layers=steps
            * training.gradient_accumulation_steps
            * devices
            * config.get_text_config().num_hidden_layers,
        ),
        rows_that_fit=rows_that_fit,
    )


def largest_batch(
    sizes: Sequence[int], rows: int, loss_share: float, training: "SFTConfig", attention: str
) -> Batch:
    """The largest batch of so many rows or packs; padded to the longest where rows are padded."""
    chosen = sorted(sizes)[-rows:]
    if not training.packing and not keeps_rows_apart(attention):
        chosen = [chosen[-1]] * len(chosen)
    lines = [sum(chosen)] if training.packing else chosen
    return Batch(
        tokens=sum(chosen),
        labelled=round(sum(chosen) * loss_share),
        squares=sum(line**2 for line in lines),
    )


def attention_pairs(
    lengths: Sequence[int], sizes: Sequence[int], training: "SFTConfig", attention: str
) -> float:
    """Pairs of tokens in an epoch between which attention is computed."""
    if keeps_rows_apart(attention):
        return sum(length**2 for length in lengths) / 2
    if not training.packing:
        return float(sum(length**2 for length in lengths))
    # A batch of packs is one line, and each pack is computed with all others in it.
    return sum(sizes) ** 2 / len(sizes) * training.per_device_train_batch_size


def steps_and_epochs(count: int, training: "SFTConfig", devices: int) -> tuple[int, float]:
    """Optimizer steps, and epochs over `count` rows or packs."""
    batches = ceil(count / (training.per_device_train_batch_size * devices))
    steps_per_epoch = ceil(batches / training.gradient_accumulation_steps)
    if training.max_steps > 0:
        return training.max_steps, training.max_steps / steps_per_epoch
    return ceil(training.num_train_epochs * steps_per_epoch), training.num_train_epochs


def packed_sizes(lengths: Sequence[int], training: "SFTConfig") -> list[int]:
    """Tokens in each pack that the trainer will make."""
    from datasets import Dataset
    from trl import pack_dataset

    rows = Dataset.from_dict({"input_ids": [[0] * length for length in lengths]})
    packs = pack_dataset(rows, training.max_length or 0, training.packing_strategy)
    return [sum(lengths) for lengths in packs["seq_lengths"]]
