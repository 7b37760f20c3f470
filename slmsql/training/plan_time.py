"""How long a step takes: starting kernels, products of weights, and attention.

A pass through a layer takes some milliseconds however few tokens there are, because Python has to
start its kernels. The rest runs at a share of the GPU's peak. The shares of the smallest model are
fitted to runs on an H100 and an H200 (docs/sft.md, Plan a run); the others are assumptions. Replace
them when they are measured.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LAYER_SECONDS = 4.2e-3  # forward and backward pass of one batch, 2026-11-28
# Parameters: share of the peak that products of weights reach, everything but attention included.
WEIGHT_SHARES = ((135e6, 0.28), (0.5e9, 0.35), (1.5e9, 0.45))
# `sdpa` with a mask reached 0.09 in one run, 0.16 in another. `varlen` and FlashAttention: the
# lower end of published figures.
ATTENTION_SHARES = {"sdpa": 0.12, "eager": 0.05, "varlen": 0.30}
FLASH_SHARE = 0.35
# vLLM's next token for all rows of a batch. 256 completions of up to 128 tokens took 1.19 s with
# SmolLM2-135M on an H200, without compilation (2026-11-28). Larger models read weights for longer.
TOKEN_SECONDS = 9e-3
BACKWARD = 2.5  # attention computes its products twice and a half times again


@dataclass(frozen=True, slots=True)
class Work:
    """Operations of a whole run."""

    weights: float
    attention: float
    layers: int
    """How often a batch passes through a layer."""

    def seconds(self, parameters: float, kernel: str, peak: float) -> float:
        """On one GPU.

        Args:
            parameters: of the model.
            kernel: an `attn_implementation`.
            peak: 16-bit operations per second of the GPU.
        """
        weights = self.weights / weight_share(parameters)
        computing = (weights + self.attention / attention_share(kernel)) / peak
        return computing + self.layers * LAYER_SECONDS


def forward_flops(parameters: float) -> float:
    """Operations of one token on its way through all weights."""
    return 2 * parameters


def decoding_seconds(tokens: int, bytes_read: float, bandwidth: float) -> float:
    """Of so many tokens one after the other, each of which reads all weights.

    Args:
        bandwidth: of the GPU's memory, in bytes per second.
    """
    return tokens * (TOKEN_SECONDS + bytes_read / bandwidth)


def weight_share(parameters: float) -> float:
    """The share for a model of this size, between the neighbours in the table."""
    if parameters <= WEIGHT_SHARES[0][0]:
        return WEIGHT_SHARES[0][1]
    for (smaller, low), (larger, high) in pairwise(WEIGHT_SHARES):
        if parameters <= larger:
            return low + (high - low) * log(parameters / smaller) / log(larger / smaller)
    return WEIGHT_SHARES[-1][1]


def attention_share(kernel: str) -> float:
    return ATTENTION_SHARES.get(kernel, FLASH_SHARE)


def attention_flops(config: "PretrainedConfig", pairs: float, *, checkpointing: bool) -> float:
    """Operations of attention.

    Args:
        pairs: of tokens between which it is computed: for a row on its own half its square, for a
            line of rows under a mask the whole square.
        checkpointing: the forward pass is computed twice.
    """
    text: Any = config.get_text_config()
    head = text.to_dict().get("head_dim") or text.hidden_size // text.num_attention_heads
    forward = 4 * pairs * head * text.num_attention_heads * text.num_hidden_layers
    return float(forward * ((2 if checkpointing else 1) + BACKWARD))
