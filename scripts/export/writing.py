"""Writes a checkpoint as a GGUF file of one type."""

import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFWriter, quant_shape_to_byte_shape
from tqdm import tqdm

from scripts.export.checkpoint import Array, Checkpoint
from scripts.export.llama_cpp import quantise
from scripts.export.quantisation import F16, F32, FileType, Shape, TensorType, choose_types
from scripts.export.vocabulary import Vocabulary
from slmsql.errors import InputError

QUANTISATION_VERSION = 2  # of ggml's block formats
LARGEST_F16 = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class Written:
    """A file, and the type and shape of each of its tensors."""

    file: Path
    type: FileType
    tensors: dict[str, TensorType]
    shapes: dict[str, Shape]

    @property
    def bits_per_weight(self) -> float:
        """Size of the file in bits, per weight."""
        return 8 * self.file.stat().st_size / sum(math.prod(s) for s in self.shapes.values())


def write_gguf(
    checkpoint: Checkpoint, vocabulary: Vocabulary, file: Path, file_type: FileType
) -> Written:
    """Write a GGUF file. Tensors are read and quantised one by one, to keep memory low.

    Raises:
        InputError: a weight is too large for the type.
        OSError: the disk is full.
    """
    shapes = checkpoint.shapes()
    types = choose_types(shapes, file_type)
    writer = GGUFWriter(file, checkpoint.architecture)
    _add_model(writer, checkpoint, file_type)
    _add_vocabulary(writer, checkpoint, vocabulary)
    for name, shape in shapes.items():
        _announce(writer, name, shape, types[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    progress = tqdm(checkpoint.tensors(), str(file_type), len(shapes), unit=" tensors")
    for name, weights in progress:
        writer.write_tensor_data(_stored(name, weights, types[name]))
    writer.close()
    return Written(file, file_type, types, shapes)


def write_with_program(
    program: str, checkpoint: Checkpoint, vocabulary: Vocabulary, file: Path, file_type: FileType
) -> Written:
    """Write a GGUF file that llama.cpp's program llama-quantize makes from an F16 file.

    Raises:
        InputError: a weight is too large for F16, or the program failed or wrote another type.
        OSError: the disk is full.
    """
    if file_type is FileType.F16:
        return write_gguf(checkpoint, vocabulary, file, file_type)
    whole = file.with_suffix(".f16")
    try:
        write_gguf(checkpoint, vocabulary, whole, FileType.F16)
        _quantise_file(program, whole, file, file_type)
    finally:
        whole.unlink(missing_ok=True)
    shapes = checkpoint.shapes()
    return Written(file, file_type, _types_in(file, choose_types(shapes, file_type)), shapes)


def _quantise_file(program: str, source: Path, target: Path, file_type: FileType) -> None:
    command = [program, str(source), str(target), file_type.name]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode or not target.is_file():
        lines = (done.stderr + done.stdout).strip().splitlines() or ["it says nothing"]
        raise InputError(f"{program} failed (exit code {done.returncode}): {lines[-1]}")
    if GGUFReader(target).fields["general.file_type"].contents() != file_type.number:
        raise InputError(f"{program} wrote another type than {file_type}")


def _types_in(file: Path, expected: Mapping[str, TensorType]) -> dict[str, TensorType]:
    """The types that a file's tensors have, beside those that llama.cpp's rules want."""
    types = {}
    for tensor in GGUFReader(file).tensors:
        wanted = expected[tensor.name].fallback_from or expected[tensor.name].type
        actual = tensor.tensor_type
        types[tensor.name] = TensorType(actual, None if actual == wanted else wanted)
    return types


def _add_model(writer: GGUFWriter, checkpoint: Checkpoint, file_type: FileType) -> None:
    config = checkpoint.config
    writer.add_name(checkpoint.folder.resolve().name)
    writer.add_file_type(file_type.number)
    writer.add_quantization_version(QUANTISATION_VERSION)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(checkpoint.context_length)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(checkpoint.head_width)
    writer.add_key_length(checkpoint.head_width)
    writer.add_value_length(checkpoint.head_width)
    writer.add_vocab_size(config.vocab_size)
    if checkpoint.architecture == "lfm2":
        _add_lfm2(writer, config)
    else:
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _add_lfm2(writer: GGUFWriter, config: Any) -> None:
    """LFM2 has layers of two kinds: attention, and short convolutions without keys and values."""
    heads = config.num_key_value_heads
    writer.add_head_count_kv([heads if kind != "conv" else 0 for kind in config.layer_types])
    writer.add_shortconv_l_cache(config.conv_L_cache)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    width = config.intermediate_size
    if config.block_auto_adjust_ff_dim:
        width = int(config.block_ffn_dim_multiplier * int(2 * width / 3))
        width = -(-width // config.block_multiple_of) * config.block_multiple_of
    writer.add_feed_forward_length(width)


def _add_vocabulary(writer: GGUFWriter, checkpoint: Checkpoint, vocabulary: Vocabulary) -> None:
    tokenizer = checkpoint.tokenizer
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.rule)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_chat_template(tokenizer.chat_template)
    # The chat template writes the first token itself, so programs must not add one.
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(checkpoint.ends[0])
    if len(checkpoint.ends) > 1:
        writer.add_eot_token_id(checkpoint.ends[1])
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)


def _announce(writer: GGUFWriter, name: str, shape: Shape, tensor_type: TensorType) -> None:
    """Add a tensor to the list that stands before the data."""
    type_ = tensor_type.type
    if type_ in (F32, F16):
        kind: Any = np.float32 if type_ is F32 else np.float16
        writer.add_tensor_info(name, shape, np.dtype(kind), math.prod(shape) * kind().nbytes)
        return
    stored = quant_shape_to_byte_shape(shape, type_)
    writer.add_tensor_info(name, stored, np.dtype(np.uint8), math.prod(stored), type_)


def _stored(name: str, weights: Array, tensor_type: TensorType) -> Array:
    """The weights as the file holds them."""
    if tensor_type.type is F32:
        return weights
    if tensor_type.type is not F16:
        return quantise(weights, tensor_type.type)
    if (largest := float(np.abs(weights).max())) > LARGEST_F16:
        raise InputError(
            f"{name} has a weight of {largest:.3g}, more than F16 holds; leave f16 out of --types"
        )
    return weights.astype(np.float16)
