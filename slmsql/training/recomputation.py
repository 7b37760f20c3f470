"""Compute cheap results again in the backward pass instead of keeping them, on the CPU.

transformers writes normalisation and the gate of the feed-forward network as chains of small
operations, each of which keeps its result: half of SmolLM2's activations. On GPUs, compilation or
Liger's kernels do what is done here.
"""

from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

LAYERS = {"LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer", "Qwen3DecoderLayer"}
"""Those in which both normalisations feed linear layers alone."""


def recomputes(training: "TrainingArguments") -> bool:
    """Whether a run does so: on the CPU, unless it computes whole layers again anyway."""
    return bool(training.use_cpu and not training.gradient_checkpointing)


def recompute_cheap_results(model: "torch.nn.Module") -> None:
    """Make the layers of a model keep less for the backward pass. Loss and gradients stay.

    Under autocast a normalisation also returns 16-bit numbers, which is what the linear layers
    behind it compute with. Otherwise each of them makes a copy of its own, and keeps it.
    """
    for layer in model.modules():
        if type(layer).__name__ in LAYERS:
            parts: Any = layer
            for norm in (parts.input_layernorm, parts.post_attention_layernorm):
                norm.forward = partial(_recomputed, MethodType(_normalise, norm))
            parts.mlp.forward = MethodType(_feed_forward, parts.mlp)


def _recomputed(function: Any, *inputs: "torch.Tensor") -> "torch.Tensor":
    from torch.utils.checkpoint import checkpoint

    return cast(
        "torch.Tensor",
        checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False),
    )


def _normalise(norm: Any, hidden: "torch.Tensor") -> "torch.Tensor":
    import torch

    output: torch.Tensor = type(norm).forward(norm, hidden)
    device = hidden.device.type
    return (
        output.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else output
    )


def _feed_forward(mlp: Any, hidden: "torch.Tensor") -> "torch.Tensor":
    gated = _recomputed(partial(_gate, mlp), mlp.gate_proj(hidden), mlp.up_proj(hidden))
    return cast("torch.Tensor", mlp.down_proj(gated))


def _gate(mlp: Any, gate: "torch.Tensor", up: "torch.Tensor") -> "torch.Tensor":
    return cast("torch.Tensor", mlp.act_fn(gate) * up)
