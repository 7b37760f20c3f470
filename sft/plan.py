"""What a run will take - tokens, steps, memory by part, time - before any weights are loaded.

    python sft/train.py --config configs/sft/NAME.yaml --plan [--plan_gpu H100 --plan_gpus 8]

Tokens and steps are counted on the real data with the real tokenizer and packing. Parameters are
counted on the model built without memory. Memory is counted part by part for one device; time is
arithmetic over `SHARE` of the GPU's peak, which is what such trainings commonly reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

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
SHARE = 0.35  # of the peak; --plan_share where yours is known
GB = 1e9
TILE = (4096, 32_768)  # tokens and vocabulary of the logits that TRL's fused head holds at a time
# Bytes of a hidden, inner, query and key element: with adapters or not, 16-bit arithmetic or not,
# bytes of a weight. Adapters keep what their dropout let through.
SAVED = {
    (False, False, 4): (24, 16, 8, 8),
    (False, True, 4): (26, 8, 4, 4),
    (True, False, 4): (48, 20, 16, 8),
    (True, True, 4): (38, 12, 10, 4),
    (False, True, 2): (16, 8, 4, 4),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """Counts of weights: all, those trained, those that a 4-bit model quantises."""

    total: int
    trained: int
    quantised: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one device at the worst moment of a step."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    accumulates: bool

    @property
    def total(self) -> float:
        """Gradients take the place of activations, unless those of an earlier batch are kept."""
        parts = (self.gradients, self.activations)
        return self.weights + self.optimizer + (sum(parts) if self.accumulates else max(parts))


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is known of a run before it starts; tokens are those of one epoch."""

    rows: int
    tokens: int
    taught_tokens: int
    longest_batch: int
    steps: int
    parameters: Parameters
    memory: Memory
    flops: float


def make_plan(
    lengths: Sequence[int],
    taught_tokens: int,
    *,
    config: "PretrainedConfig",
    training: "SFTConfig",
    model: "ModelConfig",
    devices: int,
    zero: int,
) -> Plan:
    """Plan a run over rows of these lengths.

    Args:
        taught_tokens: how many tokens carry loss.
        devices: how many share each step.
        zero: DeepSpeed's stage, 0 without.
    """
    sizes = packed_sizes(lengths, training) if training.packing else list(lengths)
    longest = max(sizes) * min(training.per_device_train_batch_size, len(sizes))
    steps, epochs = steps_and_epochs(len(sizes), training, devices)
    parameters = count_parameters(config, model)
    return Plan(
        rows=len(lengths),
        tokens=sum(lengths),
        taught_tokens=taught_tokens,
        longest_batch=longest,
        steps=steps,
        parameters=parameters,
        memory=memory(config, parameters, longest, training, model, devices=devices, zero=zero),
        flops=sum(lengths) * epochs * flops_per_token(parameters, training),
    )


def steps_and_epochs(count: int, training: "SFTConfig", devices: int) -> tuple[int, float]:
    """Optimiser steps over `count` rows or packs, and how often they go over all of them."""
    batches = ceil(count / (training.per_device_train_batch_size * devices))
    in_epoch = ceil(batches / training.gradient_accumulation_steps)
    if training.max_steps > 0:
        return training.max_steps, training.max_steps / in_epoch
    return ceil(training.num_train_epochs * in_epoch), training.num_train_epochs


def packed_sizes(lengths: Sequence[int], training: "SFTConfig") -> list[int]:
    """Tokens in each pack that the trainer will make."""
    from datasets import Dataset
    from trl import pack_dataset

    rows = Dataset.from_dict({"input_ids": [[0] * length for length in lengths]})
    packs = pack_dataset(rows, training.max_length, training.packing_strategy)
    return [sum(lengths) for lengths in packs["seq_lengths"]]


def count_parameters(config: "PretrainedConfig", model: "ModelConfig") -> Parameters:
    """Count on the model itself, built on torch's `meta` device, which holds no numbers."""
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
        if adapter := get_peft_config(model):
            built = get_peft_model(built, adapter)
    every = [(p.numel(), p.requires_grad) for p in built.parameters()]
    trained = sum(count for count, is_trained in every if is_trained)
    quantised = linear if model.load_in_4bit or model.load_in_8bit else 0
    return Parameters(sum(count for count, _ in every), trained, quantised)


def memory(
    config: "PretrainedConfig",
    parameters: Parameters,
    tokens: int,
    training: "SFTConfig",
    model: "ModelConfig",
    *,
    devices: int,
    zero: int,
) -> Memory:
    """Count the parts; ZeRO shares optimiser states and gradients (2), weights too (3)."""
    width = _width(model)
    adapter = parameters.trained if model.use_peft else 0
    plain = parameters.total - parameters.quantised - adapter
    weights = plain * width + adapter * 4 + parameters.quantised * _quantised_bytes(model)
    trained_width = 4 if model.use_peft else width
    return Memory(
        weights=weights / (devices if zero == 3 else 1),
        gradients=parameters.trained * trained_width / (devices if zero >= 2 else 1),
        optimizer=parameters.trained * _optimizer_bytes(training) / (devices if zero else 1),
        activations=_activations(config, parameters, tokens, training, model),
        accumulates=training.gradient_accumulation_steps > 1,
    )


def flops_per_token(parameters: Parameters, training: "SFTConfig") -> float:
    """Operations of a token: 2 a weight forward, 2 backward, 2 more where the weight is trained.

    Gradient checkpointing goes forward twice. Attention over the row itself is left out: below
    8,000 tokens it is a few percent in the models at hand.
    """
    forward = 4 if training.gradient_checkpointing else 2
    return (forward + 2) * parameters.total + 2 * parameters.trained


def _quantised_bytes(model: "ModelConfig") -> float:
    if model.load_in_8bit:
        return 1.0
    # A scale for each 64 weights: float32, or one byte where it is quantised in turn.
    return 0.5 + (1 / 64 if model.use_bnb_nested_quant else 4 / 64)


def _optimizer_bytes(training: "SFTConfig") -> float:
    from transformers.training_args import OptimizerNames

    name = OptimizerNames(training.optim).value
    if "adam" not in name:
        return 4.0
    return 2.0 if "8bit" in name else 8.0


def _activations(
    config: "PretrainedConfig",
    parameters: Parameters,
    tokens: int,
    training: "SFTConfig",
    model: "ModelConfig",
) -> float:
    """What the backward pass needs of the forward pass, and the head's tile of logits.

    With gradient checkpointing that is each layer's input, and all of the layer at work.
    """
    text: Any = config.get_text_config()
    is_half = training.bf16 or training.fp16
    layer = tokens * _layer_bytes(text, is_half, model)
    kept = text.num_hidden_layers * layer
    if training.gradient_checkpointing:
        kept = text.num_hidden_layers * tokens * text.hidden_size * _width(model) + layer
    tile = min(tokens, TILE[0]) * TILE[1] * (2 if is_half else 4)
    copies = 2 * parameters.total if is_half and _width(model) == 4 else 0  # autocast's weights
    return kept + tile + copies


def _layer_bytes(text: Any, is_half: bool, model: "ModelConfig") -> float:
    """Bytes a token leaves in a layer, counted on Llama with autograd's hooks for saved tensors."""
    key = (model.use_peft, is_half, _width(model))
    of_hidden, of_inner, of_queries, of_keys = SAVED.get(key, SAVED[model.use_peft, is_half, 4])
    head = text.to_dict().get("head_dim") or text.hidden_size // text.num_attention_heads
    return float(
        of_hidden * text.hidden_size
        + of_inner * text.intermediate_size
        + of_queries * head * text.num_attention_heads
        + of_keys * head * text.num_key_value_heads
    )


def _width(model: "ModelConfig") -> int:
    return 2 if model.dtype in ("bfloat16", "float16") else 4
