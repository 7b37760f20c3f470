"""Attention over rows that lie side by side in one batch, each on its own: torch's own kernels.

The trainer hands over where each row begins (`cu_seq_lens_q`). On a GPU in 16-bit arithmetic,
`torch.nn.attention.varlen` computes all rows at once (it is FlashAttention); elsewhere scaled dot
product attention computes row after row. Neither computes attention between rows nor keeps a mask:
the mask of 16 packs of 2,048 tokens has 2 GB in each layer.

A padded batch, as in generation, has a mask and is computed as `sdpa` would.
"""

from inspect import signature
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch

VARLEN = "varlen"  # as an `attn_implementation`


def register_varlen() -> None:
    """Make `attn_implementation="varlen"` known to transformers."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(VARLEN, varlen_attention)
    AttentionMaskInterface.register(VARLEN, varlen_mask)


def varlen_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    *args: Any,
    attention_mask: "torch.Tensor | None" = None,
    **kwargs: Any,
) -> "torch.Tensor | None":
    """No mask for one line of tokens that is seen for the first time; else that of `sdpa`."""
    from transformers.masking_utils import sdpa_mask

    if attention_mask is None and batch_size == 1 and q_length == kv_length:
        return None
    mask: torch.Tensor | None = sdpa_mask(
        batch_size, q_length, kv_length, *args, attention_mask=attention_mask, **kwargs
    )
    return mask


def varlen_attention(
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    **kwargs: Any,
) -> "tuple[torch.Tensor, None]":
    """Causal attention in the contract of transformers; shapes are (1, heads, tokens, width)."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    starts = None if attention_mask is not None else _starts(query, key, kwargs)
    if starts is None:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    elif query.is_cuda and _arithmetic(query).itemsize == 2 and not kwargs.get("dropout"):
        output = _all_rows_at_once(query, key, value, starts, kwargs)
    else:
        output = _row_after_row(module, query, key, value, starts, kwargs)
    return output, None


def _starts(
    query: "torch.Tensor", key: "torch.Tensor", kwargs: dict[str, Any]
) -> "torch.Tensor | None":
    """Where each row begins, and the end; None for a batch that is not one line of tokens."""
    import torch

    if query.shape[0] != 1 or query.shape[2] != key.shape[2]:
        return None
    starts: torch.Tensor | None = kwargs.get("cu_seq_lens_q")
    positions: torch.Tensor | None = kwargs.get("position_ids")
    if starts is None and positions is not None:
        begins = (positions[0] == positions[0, 0]).nonzero().flatten().to(torch.int32)
        starts = torch.cat([begins, begins.new_tensor([query.shape[2]])])
    return starts


def _arithmetic(query: "torch.Tensor") -> "torch.dtype":
    """The dtype that autocast asks for; rotary positions leave queries in float32."""
    import torch

    device = query.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype


def _all_rows_at_once(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    starts: "torch.Tensor",
    kwargs: dict[str, Any],
) -> "torch.Tensor":
    from torch.nn.attention.varlen import varlen_attn

    def line(part: "torch.Tensor") -> "torch.Tensor":
        return part[0].transpose(0, 1).to(_arithmetic(query))  # tokens, heads, width

    window = kwargs.get("sliding_window")
    longest = kwargs.get("max_length_q") or int(starts.diff().max())
    settings: dict[str, Any] = {
        "scale": kwargs.get("scaling"),
        "window_size": (window - 1 if window else -1, 0),
    }
    if "enable_gqa" in signature(varlen_attn).parameters:
        settings["enable_gqa"] = True  # torch 2.13 wants to be told; older ones share keys anyway
    rows = varlen_attn(
        line(query), line(key), line(value), starts, starts, longest, longest, **settings
    )
    return cast("torch.Tensor", rows)[None]


def _row_after_row(
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    starts: "torch.Tensor",
    kwargs: dict[str, Any],
) -> "torch.Tensor":
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def attend(begin: int, end: int) -> torch.Tensor:
        span = (slice(None), slice(None), slice(begin, end))
        mask = _window_mask(end - begin, kwargs.get("sliding_window"), query.device)
        output, _ = sdpa_attention_forward(
            module, query[span], key[span], value[span], mask, **kwargs
        )
        return output

    return torch.cat([attend(*span) for span in pairwise(starts.tolist())], dim=1)


def _window_mask(length: int, window: int | None, device: "torch.device") -> "torch.Tensor | None":
    """Of a row that is longer than the sliding window; others need only causality."""
    import torch

    if window is None or length <= window:
        return None
    everything = torch.ones(length, length, dtype=torch.bool, device=device)
    return everything.tril().triu(1 - window)[None, None]
