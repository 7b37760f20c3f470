"""Reads a model folder as llama.cpp sees it: its names for tensors, its order of rows, its keys."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slmsql.errors import InputError
from slmsql.training.model_check import check_model

Array = npt.NDArray[Any]
# The model types of transformers, and the architecture in llama.cpp that computes the same.
ARCHITECTURES = {
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "llama": "llama",
    "mistral": "llama",
    "lfm2": "lfm2",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model folder: its configuration, its tokenizer and its weights, which stay on disk."""

    folder: Path
    config: Any
    """The configuration of transformers."""
    tokenizer: Any
    ends: tuple[int, ...]
    """Ids of the tokens that end an answer, the tokenizer's own first."""

    @property
    def architecture(self) -> str:
        """The architecture by llama.cpp's name."""
        return ARCHITECTURES[self.config.model_type]

    @property
    def head_width(self) -> int:
        """Width of an attention head."""
        width = getattr(self.config, "head_dim", None)
        return int(width or self.config.hidden_size // self.config.num_attention_heads)

    @property
    def context_length(self) -> int:
        """Tokens that the model reads; at most its sliding window, which llama.cpp ignores here."""
        window = getattr(self.config, "sliding_window", None)
        return int(min(self.config.max_position_embeddings, window or math.inf))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor under llama.cpp's name, layer by layer.

        Raises:
            InputError: llama.cpp's architecture has no such tensor.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for target, name, weights in self._slices():
            shape = weights.get_shape()
            shapes[target] = (shape[0], shape[2]) if _is_convolution(name) else tuple(shape)
        if (factors := self._rope_factors()) is not None:
            shapes["rope_freqs.weight"] = factors.shape
        return shapes

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Yield each tensor in float32, in the order and under the names of `shapes`."""
        for target, name, weights in self._slices():
            yield target, self._in_order(name, weights[:].float().numpy())
        if (factors := self._rope_factors()) is not None:
            yield "rope_freqs.weight", factors

    def _slices(self) -> Iterator[tuple[str, str, Any]]:
        """Each tensor on disk: llama.cpp's name, its own, and what reads it."""
        from gguf import MODEL_ARCH, get_tensor_name_map
        from safetensors import safe_open

        layers = self.config.num_hidden_layers
        targets = get_tensor_name_map(MODEL_ARCH[self.architecture.upper()], layers)
        files = {file: safe_open(file, "pt") for file in self.folder.glob("model*.safetensors")}
        places = {name: weights for weights in files.values() for name in weights.keys()}  # noqa: SIM118
        for name in sorted(places, key=_place):
            if name == "lm_head.weight" and self.config.tie_word_embeddings:
                continue
            target = targets.get_name(name, (".weight", ".bias"))
            if target is None:
                raise InputError(f"{self.folder}: llama.cpp has no place for the tensor {name}")
            yield target, name, places[name].get_slice(name)

    def _in_order(self, name: str, weights: Array) -> Array:
        """The weights with the shape and order of rows that llama.cpp reads.

        In its `llama` architecture the rotary embedding turns neighbouring rows of a head, in
        transformers a row and the one half a head further.
        """
        if _is_convolution(name):
            return weights.squeeze(1)
        heads = {
            "q_proj": self.config.num_attention_heads,
            "k_proj": self.config.num_key_value_heads,
        }
        count = heads.get(name.split(".")[-2])
        if self.architecture != "llama" or count is None:
            return weights
        halves = weights.reshape(count, 2, -1, *weights.shape[1:])
        return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weights.shape))

    def _rope_factors(self) -> Array | None:
        """What Llama 3.1 and later divide the rotary frequencies by; None for other models."""
        rope = self.config.rope_parameters
        if rope["rope_type"] != "llama3":
            return None
        exponents = np.arange(0, self.head_width, 2) / self.head_width
        wavelengths = 2 * math.pi * rope["rope_theta"] ** exponents
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        original = rope["original_max_position_embeddings"]
        smooth = np.clip((original / wavelengths - low) / (high - low), 0, 1)
        factors = 1 / ((1 - smooth) / rope["factor"] + smooth)
        return np.asarray(factors, dtype=np.float32)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read configuration and tokenizer of a model folder, and check that they can be exported.

    Raises:
        InputError: the folder is not a model, its architecture is not covered, or its vocabulary
            does not match its weights.
    """
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    if not folder.is_dir():
        raise InputError(f"{folder} is not a model folder: there is no such folder")
    check_model(str(folder))
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind not in ARCHITECTURES:
        raise InputError(
            f"{folder} holds a {kind!r} model; supported: {', '.join(sorted(ARCHITECTURES))}"
        )
    if not list(folder.glob("model*.safetensors")):
        raise InputError(f"{folder} has no weights: there is no model.safetensors in it")
    try:
        config, tokenizer = (
            AutoConfig.from_pretrained(folder),
            AutoTokenizer.from_pretrained(folder),
        )
    except (ValueError, OSError) as error:
        raise InputError(f"cannot load {folder}: {' '.join(str(error).split())}") from error
    rope = config.rope_parameters["rope_type"]
    if rope not in ("default", "llama3"):
        raise InputError(f"{folder} scales its rotary embedding by {rope!r}; supported: llama3")
    checkpoint = Checkpoint(folder, config, tokenizer, ())
    _check_vocabulary(checkpoint)
    generation = (
        GenerationConfig.from_pretrained(folder)
        if (folder / "generation_config.json").is_file()
        else GenerationConfig.from_model_config(config)
    )
    ends = generation.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    own = [tokenizer.eos_token_id, *(end for end in ends if end is not None)]
    return Checkpoint(folder, config, tokenizer, tuple(dict.fromkeys(own)))


def _check_vocabulary(checkpoint: Checkpoint) -> None:
    """Raise if the tokenizer cannot stand beside the weights."""
    folder, tokenizer, size = checkpoint.folder, checkpoint.tokenizer, checkpoint.config.vocab_size
    highest = max(tokenizer.get_vocab().values())
    if highest >= size:
        raise InputError(
            f"{folder}: the vocabulary does not match: the tokenizer has the id {highest}, the "
            f"weights end at {size - 1}; export the folder that training wrote"
        )
    if not tokenizer.chat_template:
        raise InputError(f"{folder} has no chat template; export a model trained with sft/train.py")
    if tokenizer.eos_token_id is None:
        raise InputError(f"{folder}: the tokenizer names no token that ends an answer (eos_token)")


def _is_convolution(name: str) -> bool:
    """Whether a tensor is LFM2's convolution, which llama.cpp stores without its middle axis."""
    return name.endswith("conv.conv.weight")


def _place(name: str) -> tuple[int, int, str]:
    """Sorts embeddings first, layers by number, the rest last."""
    parts = name.split(".")
    if "layers" not in parts:
        return (0 if "embed_tokens" in name else 2, 0, name)
    return (1, int(parts[parts.index("layers") + 1]), name)
