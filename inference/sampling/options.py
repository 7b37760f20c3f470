"""Options of the programs that sample: which model, by which means, how completions are drawn."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from os import SEEK_END
from pathlib import Path
from typing import Literal

from inference.sampling.sampler import Sampler, SamplingParams
from slmsql.errors import InputError
from slmsql.prompt.build import Layout, read_template
from slmsql.training.model_check import check_model


@dataclass(kw_only=True)
class SamplerOptions:
    """The means of sampling. None of it should change what a completion says."""

    model: str = field(metadata={"help": "model folder, hub name, or the endpoint's model name"})
    sampler: Literal["auto", "vllm", "transformers", "endpoint"] = field(
        default="auto",
        metadata={"help": "auto: endpoint where --endpoints is given, else vllm if installed"},
    )
    adapter: str = field(default="", metadata={"help": "folder of a LoRA adapter for the model"})
    lora_rank: int = field(default=64, metadata={"help": "largest rank of the adapter (vllm)"})
    dtype: str = field(default="auto", metadata={"help": "auto, bfloat16, float16, float32"})
    quantization: str = field(
        default="", metadata={"help": "vllm's name of it, where the checkpoint does not say"}
    )
    tensor_parallel: int = field(default=1, metadata={"help": "GPUs for one model (vllm)"})
    max_model_len: int = field(
        default=0, metadata={"help": "tokens of prompt and completion; 0: as the model says"}
    )
    gpu_memory: float = field(default=0.9, metadata={"help": "share of GPU memory for vllm"})
    endpoints: list[str] = field(
        default_factory=list,
        metadata={
            "help": "OpenAI-compatible servers, such as http://host:8000; several share work"
        },
    )
    key_env: str = field(
        default="OPENAI_API_KEY", metadata={"help": "environment variable with the endpoints' key"}
    )
    concurrency: int = field(default=32, metadata={"help": "requests under way (endpoint)"})
    retries: int = field(default=6, metadata={"help": "further tries of a request (endpoint)"})
    backoff: float = field(default=1.0, metadata={"help": "seconds before the first of them"})
    timeout: float = field(default=600.0, metadata={"help": "seconds for one answer (endpoint)"})
    price_in: float = field(default=0.0, metadata={"help": "dollars for a million prompt tokens"})
    price_out: float = field(
        default=0.0, metadata={"help": "dollars for a million completion tokens"}
    )

    def cost(self, prompt_tokens: int, tokens: int) -> float:
        """Dollars at the prices given."""
        return (prompt_tokens * self.price_in + tokens * self.price_out) / 1e6


@dataclass(kw_only=True)
class SamplingOptions:
    """How completions are drawn."""

    n: int = field(default=8, metadata={"help": "candidates of each question"})
    temperature: float = field(default=0.8, metadata={"help": "0 is greedy: one candidate"})
    top_p: float = field(default=1.0, metadata={"help": "mass of the tokens drawn from"})
    max_tokens: int = field(default=1024, metadata={"help": "length of a completion"})
    seed: int = field(default=0, metadata={"help": "the same seed gives the same candidates"})
    logprobs: bool = field(
        default=False, metadata={"help": "record mean log-probabilities, for weighted votes"}
    )

    def __post_init__(self) -> None:
        for name, value, low in (
            ("n", self.n, 1),
            ("temperature", self.temperature, 0),
            ("max_tokens", self.max_tokens, 1),
        ):
            if value < low:
                raise ValueError(f"--{name} must be at least {low}, got {value}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"--top_p must be above 0 and at most 1, got {self.top_p}")
        if self.temperature == 0:
            self.n = 1  # more would be copies


def sampling_for(options: SamplingOptions, template: str) -> SamplingParams:
    """The settings of a sampler for prompts of this template."""
    think = read_template(template).layout is Layout.THINK
    return SamplingParams(
        temperature=options.temperature,
        top_p=options.top_p,
        max_tokens=options.max_tokens,
        stop=("</answer>",) if think else (),
        logprobs=options.logprobs,
    )


def open_sampler(options: SamplerOptions) -> Sampler:
    """The sampler that the options ask for, its model loaded.

    Raises:
        InputError, FileNotFoundError: the model folder is missing or none, or what the sampler
            needs is not installed.
    """
    check_sampler(options)
    kind = _kind(options)
    if kind == "endpoint":
        from inference.sampling.endpoint_sampler import EndpointSampler

        return EndpointSampler(options)
    if kind == "vllm":
        from inference.sampling.vllm_sampler import VllmSampler

        return VllmSampler(options)
    from inference.sampling.transformers_sampler import TransformersSampler

    return TransformersSampler(options)


def check_sampler(options: SamplerOptions) -> None:
    """Refuse a model that is none, or a sampler that is not installed, without loading either.

    Raises:
        InputError, FileNotFoundError: as `open_sampler`.
    """
    if _kind(options) == "endpoint":
        return
    check_model(options.model)
    if options.adapter:
        check_model(options.adapter, file="adapter_config.json")


@contextmanager
def sampler_when_needed(options: SamplerOptions) -> Iterator[Callable[[], Sampler]]:
    """Something that opens the sampler when it is first asked for, and only then."""
    opened: list[Sampler] = []

    def sampler() -> Sampler:
        if not opened:
            opened.append(open_sampler(options))
        return opened[0]

    try:
        yield sampler
    finally:
        for one in opened:
            one.close()


def model_identity(name: str) -> str:
    """A model's name with a mark of its weights, so that one retrained under it is noticed."""
    mark = blake2b(digest_size=6)
    for file in sorted(Path(name).glob("*.safetensors")) if name else ():
        with open(file, "rb") as weights:
            mark.update(f"{file.name} {file.stat().st_size}".encode())
            # The header, and a piece of the last tensor: all of a large model takes a minute.
            mark.update(weights.read(2**20))
            weights.seek(-min(file.stat().st_size, 2**20), SEEK_END)
            mark.update(weights.read())
    return f"{name} {mark.hexdigest()}"


def _kind(options: SamplerOptions) -> str:
    if (options.sampler == "endpoint") and not options.endpoints:
        raise InputError("--sampler endpoint needs --endpoints URL")
    if options.sampler == "auto" and options.endpoints:
        return "endpoint"
    if options.sampler != "auto":
        if options.sampler == "vllm" and not _installed("vllm"):
            raise InputError("vllm is not installed; pip install -e .[vllm] or say --sampler auto")
        return options.sampler
    return "vllm" if _installed("vllm") else "transformers"


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
