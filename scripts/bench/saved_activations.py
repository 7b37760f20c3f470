"""Measure the bytes that a layer keeps of the forward pass: the table in slmsql/training/memory.py.

    python scripts/bench/saved_activations.py

Runs tiny Llama models on the CPU and counts what autograd saves for the backward pass. One of the
four widths at a time is doubled; the growth, divided by the width, is the bytes of its elements.
Prints one line for each precision, beside the numbers in the table.
"""

from dataclasses import dataclass, replace
from typing import Any

from slmsql.errors import run_program
from slmsql.training.memory import SAVED_BYTES, Precision, SavedBytes
from slmsql.training.recomputation import recompute_cheap_results

TOKENS, MORE_TOKENS = 32, 64
LAYERS, MORE_LAYERS = 2, 3


@dataclass(frozen=True, slots=True)
class Widths:
    """Of a layer, in elements. A head has 16."""

    hidden: int = 256
    inner: int = 256
    queries: int = 256
    keys: int = 128


def main() -> None:
    names = f"{'adapters':<9}{'half':<6}{'weight':<8}{'recomputes':<12}"
    print(f"{names}{'measured':<18}in slmsql/training/memory.py")
    for precision, planned in SAVED_BYTES.items():
        measured = measure(precision)
        print(
            f"{precision.adapters!s:<9}{precision.half!s:<6}{precision.weight_bytes:<8}"
            f"{precision.recomputes!s:<12}"
            f"{tuple(measured)!s:<18}{tuple(planned)}"
        )


def measure(precision: Precision) -> SavedBytes:
    """Bytes of one token for each element of the widths."""
    widths = Widths()
    base = _layer_bytes(widths, precision)

    def per_element(name: str) -> int:
        width: int = getattr(widths, name)
        wider = _layer_bytes(replace(widths, **{name: 2 * width}), precision)
        return round((wider - base) / width)

    return SavedBytes(*(per_element(name) for name in SavedBytes._fields))


def _layer_bytes(widths: Widths, precision: Precision) -> float:
    """Bytes that one token leaves in one layer."""

    def grown(tokens: int) -> int:
        more, fewer = (
            _saved_bytes(widths, precision, layers, tokens) for layers in (MORE_LAYERS, LAYERS)
        )
        return more - fewer

    return (grown(MORE_TOKENS) - grown(TOKENS)) / (MORE_TOKENS - TOKENS)


def _saved_bytes(widths: Widths, precision: Precision, layers: int, tokens: int) -> int:
    """Bytes of all tensors that the forward pass saves, weights aside."""
    import torch

    model = _model(widths, precision, layers)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved: dict[int, torch.UntypedStorage] = {}  # which also keeps them from being freed

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage
        return tensor

    inputs = torch.zeros(1, tokens, widths.hidden, dtype=model.dtype, requires_grad=True)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision.half),
    ):
        output = model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    size = sum(storage.nbytes() for storage in saved.values())
    del output
    return size


def _model(widths: Widths, precision: Precision, layers: int) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        vocab_size=8,
        hidden_size=widths.hidden,
        intermediate_size=widths.inner,
        num_hidden_layers=layers,
        num_attention_heads=widths.queries // 16,
        num_key_value_heads=widths.keys // 16,
        head_dim=16,
    )
    model: Any = LlamaModel(config).train()
    if precision.recomputes:
        recompute_cheap_results(model)
    if precision.weight_bytes == 2:
        model = model.to(torch.bfloat16)
    if precision.adapters:
        adapter = LoraConfig(r=8, lora_dropout=0.05, target_modules="all-linear")
        model = get_peft_model(model, adapter)
    return model


if __name__ == "__main__":
    run_program(main)
