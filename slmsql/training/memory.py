"""What a training takes of a device's memory, part by part, before any weights are loaded.

Parameters are counted on the model built without memory. What the layers keep for the backward pass
comes from a table that `scripts/bench/saved_activations.py` measured.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from slmsql.training.attention import AUTO, keeps_rows_apart, mixing_layers
from slmsql.training.recomputation import recomputes
from slmsql.training.varlen import VARLEN

if TYPE_CHECKING:
    from transformers import PretrainedConfig, TrainingArguments
    from trl import ModelConfig

GB = 1e9
LOGITS_TILE = (4096, 32_768)  # tokens and vocabulary that TRL's fused head computes at a time


class Precision(NamedTuple):
    """What decides how much of the forward pass is kept for the backward pass."""

    adapters: bool
    half: bool
    """16-bit arithmetic."""
    weight_bytes: int
    recomputes: bool = False
    """Cheap results are computed again in the backward pass (`training/recomputation.py`)."""


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
    Precision(adapters=False, half=False, weight_bytes=4, recomputes=True): SavedBytes(
        16, 12, 8, 8
    ),
    Precision(adapters=False, half=True, weight_bytes=4, recomputes=True): SavedBytes(12, 6, 4, 4),
    Precision(adapters=True, half=False, weight_bytes=4, recomputes=True): SavedBytes(
        48, 16, 16, 8
    ),
    Precision(adapters=True, half=True, weight_bytes=4, recomputes=True): SavedBytes(38, 10, 10, 4),
    Precision(adapters=False, half=True, weight_bytes=2, recomputes=True): SavedBytes(8, 6, 4, 4),
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
        return self.kept + self.copies + (sum(parts) if self.accumulates else max(parts))

    @property
    def kept(self) -> float:
        """What stays between updates."""
        return self.weights + self.optimizer


@dataclass(frozen=True, slots=True)
class Batch:
    """A device's largest batch."""

    tokens: int
    labelled: int
    """Tokens that carry loss."""
    squares: int
    """Squared lengths of the lines that attention sees: each row, or all rows of a pack."""


def planned_attention(model: "ModelConfig", config: "PretrainedConfig") -> str:
    """The attention of a run; `auto` is torch's own, which every machine has."""
    name = model.attn_implementation or AUTO
    if name != AUTO:
        return name
    return "sdpa" if mixing_layers(config) else VARLEN


def count_parameters(config: "PretrainedConfig", model: "ModelConfig") -> Parameters:
    """Count on the model itself, built on torch's `meta` device, which allocates no memory."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM
    from trl import get_peft_config

    with _without_zero3(), torch.device("meta"):
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


@contextmanager
def _without_zero3() -> Iterator[None]:
    """Under ZeRO-3 transformers divides a model while it is built, which fails without memory."""
    from transformers.integrations import deepspeed

    names = vars(deepspeed)
    kept = names.get("_hf_deepspeed_config_weak_ref")
    names["_hf_deepspeed_config_weak_ref"] = None
    try:
        yield
    finally:
        names["_hf_deepspeed_config_weak_ref"] = kept


def estimate_memory(
    config: "PretrainedConfig",
    parameters: Parameters,
    batch: Batch,
    training: "TrainingArguments",
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


def flops_per_token(parameters: Parameters, training: "TrainingArguments") -> float:
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


def _optimizer_bytes(training: "TrainingArguments") -> float:
    from transformers.training_args import OptimizerNames

    name = OptimizerNames(training.optim).value
    if "adam" not in name:
        return 4.0
    return 2.0 if "8bit" in name else 8.0


def _activations(
    config: "PretrainedConfig", tokens: int, training: "TrainingArguments", model: "ModelConfig"
) -> float:
    """Bytes that the layers keep of the forward pass for the backward pass.

    With gradient checkpointing these are the inputs of all layers and one layer's activations.
    """
    text: Any = config.get_text_config()
    layer = tokens * _layer_bytes(text, training, model)
    layers = int(text.num_hidden_layers)
    if training.gradient_checkpointing:
        return layers * tokens * int(text.hidden_size) * _width(model) + layer
    return layers * layer


def _masks(
    config: "PretrainedConfig", batch: Batch, training: "TrainingArguments", model: "ModelConfig"
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


def _layer_bytes(text: Any, training: "TrainingArguments", model: "ModelConfig") -> float:
    """Bytes that one token leaves in a layer for the backward pass."""
    is_half = training.bf16 or training.fp16
    precision = Precision(model.use_peft, is_half, _width(model), recomputes(training))
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
