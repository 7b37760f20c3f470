"""What a run will take - tokens, steps, memory by part, time - before any weights are loaded.

    python sft/train.py --config configs/sft/NAME.yaml --plan [--plan_gpu H100 --plan_gpus 8]

Tokens and steps are counted on the real data with the real tokenizer and packing, parameters on the
model built without memory. Memory is estimated part by part for one device; sft/plan_time.py
estimates the time.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from sft.models import mixing_layers
from sft.plan_time import Work, attention_flops
from slmsql.training.attention import AUTO, keeps_rows_apart
from slmsql.training.varlen import VARLEN

if TYPE_CHECKING:
    from transformers import PretrainedConfig
    from trl import ModelConfig, SFTConfig

# Dense 16-bit TFLOP/s and GB, from the vendors' data sheets.
GPUS = {
    "H200": (989, 141),
    "H100": (989, 80),
    "A100": (312, 80),
    "L40S": (362, 48),
    "RTX4090": (165, 24),
    "A10": (125, 24),
    "T4": (65, 16),
}
GB = 1e9
LOGITS_TILE = (4096, 32_768)  # tokens and vocabulary that TRL's fused head computes at a time


class Precision(NamedTuple):
    """What decides how much of the forward pass is kept for the backward pass."""

    adapters: bool
    half: bool
    """16-bit arithmetic."""
    weight_bytes: int


class SavedBytes(NamedTuple):
    """Bytes that one token leaves in a layer, for each element of these widths."""

    hidden: int
    inner: int
    """Of the feed-forward network."""
    queries: int
    keys: int


# Measured on Llama by `python scripts/bench/saved_activations.py`, which prints this table.
# Adapters also keep their inputs after dropout.
SAVED_BYTES = {
    Precision(adapters=False, half=False, weight_bytes=4): SavedBytes(24, 16, 8, 8),
    Precision(adapters=False, half=True, weight_bytes=4): SavedBytes(26, 8, 4, 4),
    Precision(adapters=True, half=False, weight_bytes=4): SavedBytes(48, 20, 16, 8),
    Precision(adapters=True, half=True, weight_bytes=4): SavedBytes(38, 12, 10, 4),
    Precision(adapters=False, half=True, weight_bytes=2): SavedBytes(16, 8, 4, 4),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of weights."""

    total: int
    trained: int
    quantised: int
    linear: int
    """Of linear layers without the output layer: those of which autocast makes 16-bit copies."""
    output: int
    """Of the output layer."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes on one device at the peak of a step."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    masks: float
    """Of attention that keeps rows apart by a mask; each layer keeps its own for the backward."""
    logits: float
    """Of labelled positions, and the output layer's gradient."""
    copies: float
    """16-bit copies of 32-bit weights under autocast."""
    accumulates: bool
    """Whether gradients of an earlier batch are kept while the next one is computed."""

    @property
    def total(self) -> float:
        """Without accumulation, gradients take the place of activations layer by layer."""
        forward = self.activations + self.masks + self.logits
        parts = (self.gradients, forward)
        kept = self.weights + self.optimizer + self.copies
        return kept + (sum(parts) if self.accumulates else max(parts))


@dataclass(frozen=True, slots=True)
class Batch:
    """A device's largest batch."""

    tokens: int
    labelled: int
    """Tokens that carry loss."""
    squares: int
    """Squared lengths of the lines that attention sees: each row, or all rows of a pack."""


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


def planned_attention(model: "ModelConfig", config: "PretrainedConfig") -> str:
    """The attention of a run; `auto` is torch's own, which every machine has."""
    name = model.attn_implementation or AUTO
    if name != AUTO:
        return name
    return "sdpa" if mixing_layers(config) else VARLEN


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


def count_parameters(config: "PretrainedConfig", model: "ModelConfig") -> Parameters:
    """Count on the model itself, built on torch's `meta` device, which allocates no memory."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM
    from trl import get_peft_config

    with torch.device("meta"):
        built: Any = AutoModelForCausalLM.from_config(config)
        linear = sum(
            module.weight.numel()
            for name, module in built.named_modules()
            if isinstance(module, torch.nn.Linear) and "lm_head" not in name
        )
        output = built.get_output_embeddings().weight.numel()
        if adapter := get_peft_config(model):
            built = get_peft_model(built, adapter)
    parameters = list(built.parameters())
    return Parameters(
        total=sum(parameter.numel() for parameter in parameters),
        trained=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        quantised=linear if model.load_in_4bit or model.load_in_8bit else 0,
        linear=linear,
        output=output,
    )


def estimate_memory(
    config: "PretrainedConfig",
    parameters: Parameters,
    batch: Batch,
    training: "SFTConfig",
    model: "ModelConfig",
    *,
    devices: int,
    zero: int,
) -> MemoryEstimate:
    """Estimate each part.

    ZeRO divides optimizer states among the devices, from stage 2 gradients, at stage 3 weights.
    """
    width = _width(model)
    adapter = parameters.trained if model.use_peft else 0
    plain = parameters.total - parameters.quantised - adapter
    weights = plain * width + adapter * 4 + parameters.quantised * _quantised_bytes(model)
    trained_width = 4 if model.use_peft else width
    is_half = training.bf16 or training.fp16
    output = 4 * parameters.output  # of its gradient, which is complete before it is added
    return MemoryEstimate(
        weights=weights / (devices if zero == 3 else 1),
        gradients=parameters.trained * trained_width / (devices if zero >= 2 else 1),
        optimizer=parameters.trained * _optimizer_bytes(training) / (devices if zero else 1),
        activations=_activations(config, batch.tokens, training, model),
        masks=_masks(config, batch, training, model),
        logits=_logits(batch, is_half=is_half) + (0 if model.use_peft else output),
        copies=2 * parameters.linear if is_half and width == 4 else 0,
        accumulates=training.gradient_accumulation_steps > 1,
    )


def flops_per_token(parameters: Parameters, training: "SFTConfig") -> float:
    """Operations of a token: 2 for each weight forward, 2 backward, 2 more if it is trained.

    Gradient checkpointing computes the forward pass twice. Attention is counted on its own.
    """
    forward = 4 if training.gradient_checkpointing else 2
    return (forward + 2) * parameters.total + 2 * parameters.trained


def _quantised_bytes(model: "ModelConfig") -> float:
    if model.load_in_8bit:
        return 1.0
    # 64 weights share a scale: 4 bytes, or 1 byte if the scales are quantised, too.
    return 0.5 + (1 / 64 if model.use_bnb_nested_quant else 4 / 64)


def _optimizer_bytes(training: "SFTConfig") -> float:
    from transformers.training_args import OptimizerNames

    name = OptimizerNames(training.optim).value
    if "adam" not in name:
        return 4.0
    return 2.0 if "8bit" in name else 8.0


def _activations(
    config: "PretrainedConfig", tokens: int, training: "SFTConfig", model: "ModelConfig"
) -> float:
    """Bytes that the layers keep of the forward pass for the backward pass.

    With gradient checkpointing these are the inputs of all layers and one layer's activations.
    """
    text: Any = config.get_text_config()
    layer = tokens * _layer_bytes(text, training.bf16 or training.fp16, model)
    layers = int(text.num_hidden_layers)
    if training.gradient_checkpointing:
        return layers * tokens * int(text.hidden_size) * _width(model) + layer
    return layers * layer


def _masks(
    config: "PretrainedConfig", batch: Batch, training: "SFTConfig", model: "ModelConfig"
) -> float:
    """Bytes of masks: `sdpa` turns the one of a batch into numbers again in each layer.

    `eager` keeps the probabilities of all heads, in float32 and in the arithmetic's dtype.
    """
    text: Any = config.get_text_config()
    attention = planned_attention(model, config)
    if keeps_rows_apart(attention):
        return 0.0
    width = 2 if training.bf16 or training.fp16 else 4
    kept = batch.squares * width
    if attention == "eager":
        kept = batch.squares * (width + 4) * int(text.num_attention_heads)
    return float(kept * (1 if training.gradient_checkpointing else text.num_hidden_layers))


def _logits(batch: Batch, *, is_half: bool) -> float:
    """Bytes of the tile of logits that TRL's output layer works on, whatever the vocabulary."""
    tile_tokens, tile_vocabulary = LOGITS_TILE
    return float(min(batch.labelled, tile_tokens) * tile_vocabulary * (2 if is_half else 4))


def _layer_bytes(text: Any, is_half: bool, model: "ModelConfig") -> float:
    """Bytes that one token leaves in a layer for the backward pass."""
    precision = Precision(model.use_peft, is_half, _width(model))
    saved = SAVED_BYTES.get(precision, SAVED_BYTES[precision._replace(weight_bytes=4)])
    head = text.to_dict().get("head_dim") or text.hidden_size // text.num_attention_heads
    return float(
        saved.hidden * text.hidden_size
        + saved.inner * text.intermediate_size
        + saved.queries * head * text.num_attention_heads
        + saved.keys * head * text.num_key_value_heads
    )


def _width(model: "ModelConfig") -> int:
    """Bytes of a weight that is not quantised."""
    return 2 if model.dtype in ("bfloat16", "float16") else 4
