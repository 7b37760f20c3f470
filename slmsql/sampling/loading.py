"""Opens the sampler that the options ask for, after checking that the model exists."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from os import SEEK_END
from pathlib import Path

from slmsql.errors import InputError
from slmsql.sampling.endpoint_sampler import EndpointSampler
from slmsql.sampling.llama_cpp_sampler import LlamaCppSampler, check_gguf
from slmsql.sampling.options import SamplerOptions
from slmsql.sampling.sampler import Sampler
from slmsql.sampling.transformers_sampler import TransformersSampler
from slmsql.sampling.vllm_sampler import VllmSampler
from slmsql.training.model_check import check_model


def open_sampler(options: SamplerOptions) -> Sampler:
    """Load the model into the sampler that the options ask for.

    Raises:
        InputError: the folder is not a model, or the sampler's package is not installed.
        FileNotFoundError: the folder does not exist.
    """
    check_sampler(options)
    name = _sampler_name(options)
    if name == "endpoint":
        return EndpointSampler(options)
    if name == "llama_cpp":
        return LlamaCppSampler(options)
    return VllmSampler(options) if name == "vllm" else TransformersSampler(options)


def check_sampler(options: SamplerOptions) -> None:
    """Check that the model exists and the sampler is installed, without loading either.

    Raises:
        InputError, FileNotFoundError: as `open_sampler`.
    """
    name = _sampler_name(options)
    if name == "endpoint":
        return
    if name == "llama_cpp":
        if options.adapter:
            raise InputError("llama.cpp takes no --adapter; scripts/export_gguf.py folds it in")
        check_gguf(options.model)
        return
    if name == "transformers" and not _is_installed("transformers"):
        raise InputError(
            f"{options.model} needs vLLM or transformers; pip install 'slmsql[vllm]' or "
            "'slmsql[train]', or ask a server with --endpoints URL"
        )
    check_model(options.model)
    if options.adapter:
        check_model(options.adapter, file="adapter_config.json")


@contextmanager
def sampler_when_needed(options: SamplerOptions) -> Iterator[Callable[[], Sampler]]:
    """Give a function that loads the sampler at its first call; close the sampler at the end."""
    sampler: Sampler | None = None

    def get_sampler() -> Sampler:
        nonlocal sampler
        if sampler is None:
            sampler = open_sampler(options)
        return sampler

    try:
        yield get_sampler
    finally:
        if sampler is not None:
            sampler.close()


def model_identity(name: str) -> str:
    """A model's name with a hash of parts of its weights: retraining under the name changes it."""
    digest = blake2b(digest_size=6)
    for file in _weight_files(name):
        with open(file, "rb") as weights:
            digest.update(f"{file.name} {file.stat().st_size}".encode())
            # The header and the end of the last tensor: reading all of a large model takes a minute
            digest.update(weights.read(2**20))
            weights.seek(-min(file.stat().st_size, 2**20), SEEK_END)
            digest.update(weights.read())
    return f"{name} {digest.hexdigest()}"


def _weight_files(name: str) -> list[Path]:
    path = Path(name)
    if path.suffix == ".gguf" and path.is_file():
        return [path]
    return sorted(path.glob("*.safetensors")) if name else []


def sampler_settings(options: SamplerOptions) -> dict[str, object]:
    """What determines the completions of a prompt, for a resumed run to compare."""
    return {
        "model": model_identity(options.model),
        "adapter": model_identity(options.adapter),
        "sampler": _sampler_name(options),
        "dtype": options.dtype,
        "quantization": options.quantization,
        "max_model_len": options.max_model_len,
        "endpoints": sorted(options.endpoints),
    }


def _sampler_name(options: SamplerOptions) -> str:
    if options.sampler == "endpoint" and not options.endpoints:
        raise InputError("--sampler endpoint needs --endpoints URL")
    if options.sampler == "vllm" and not _is_installed("vllm"):
        raise InputError("vllm is not installed; pip install 'slmsql[vllm]' or say --sampler auto")
    if options.sampler == "llama_cpp" and not _is_installed("xllamacpp"):
        raise InputError("llama.cpp is not installed; pip install 'slmsql[gguf]'")
    if options.sampler != "auto":
        return options.sampler
    if options.endpoints:
        return "endpoint"
    if options.model.endswith(".gguf"):
        return "llama_cpp"
    return "vllm" if _is_installed("vllm") else "transformers"


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
