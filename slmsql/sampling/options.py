"""Options of the programs that sample: the model, how it is served, how completions are sampled."""

from dataclasses import dataclass, field
from typing import Literal

from slmsql.prompt.build import Layout, read_template
from slmsql.sampling.sampler import SamplingParams
from slmsql.sampling.scheduler import SamplingPlan


@dataclass(kw_only=True)
class SamplerOptions:
    """Which model samples, and how it is served.

    Only the model, the adapter, dtype and quantization should change what a completion says.
    """

    model: str = field(
        metadata={"help": "model folder, GGUF file, hub name, or the endpoint's name for the model"}
    )
    sampler: Literal["auto", "vllm", "transformers", "llama_cpp", "endpoint"] = field(
        default="auto",
        metadata={
            "help": "auto: endpoint with --endpoints, llama_cpp for a GGUF file, else vllm if "
            "installed, else transformers"
        },
    )
    adapter: str = field(default="", metadata={"help": "folder of a LoRA adapter"})
    lora_rank: int = field(
        default=64, metadata={"help": "highest rank that the adapter may have (vllm)"}
    )
    dtype: str = field(default="auto", metadata={"help": "auto, bfloat16, float16, float32"})
    quantization: str = field(
        default="", metadata={"help": "vllm's name for it, if the checkpoint has none"}
    )
    tensor_parallel: int = field(default=1, metadata={"help": "GPUs per model (vllm)"})
    max_model_len: int = field(
        default=0,
        metadata={"help": "context length in tokens; 0: the model's own (llama_cpp: at most 8192)"},
    )
    gpu_memory: float = field(default=0.9, metadata={"help": "share of GPU memory to use (vllm)"})
    eager: bool = field(
        default=False,
        metadata={"help": "start without compiling: a minute earlier, but slower samples (vllm)"},
    )
    endpoints: list[str] = field(
        default_factory=list,
        metadata={
            "help": "OpenAI-compatible servers, such as http://host:8000; several share the work"
        },
    )
    key_env: str = field(
        default="OPENAI_API_KEY",
        metadata={"help": "environment variable with the API key (endpoint)"},
    )
    concurrency: int = field(
        default=32,
        metadata={"help": "requests under way at once (endpoint; llama_cpp: at most 4)"},
    )
    retries: int = field(default=6, metadata={"help": "retries of a request (endpoint)"})
    backoff: float = field(
        default=1.0,
        metadata={"help": "seconds before the first retry; doubles each round (endpoint)"},
    )
    timeout: float = field(
        default=600.0, metadata={"help": "time limit of a request in seconds (endpoint)"}
    )
    price_in: float = field(default=0.0, metadata={"help": "dollars per million prompt tokens"})
    price_out: float = field(
        default=0.0, metadata={"help": "dollars per million completion tokens"}
    )

    def cost(self, prompt_tokens: int, tokens: int) -> float:
        """The cost in dollars."""
        return (prompt_tokens * self.price_in + tokens * self.price_out) / 1e6


@dataclass(kw_only=True)
class SamplingOptions:
    """How completions are sampled."""

    n: int = field(default=8, metadata={"help": "number of completions per question"})
    temperature: float = field(
        default=0.8, metadata={"help": "0: greedy, with a single completion"}
    )
    top_p: float = field(
        default=1.0,
        metadata={"help": "nucleus sampling: probability mass of the tokens to sample from"},
    )
    max_tokens: int = field(default=1024, metadata={"help": "longest completion, in tokens"})
    seed: int = field(default=0, metadata={"help": "the same seed gives the same completions"})
    logprobs: bool = field(
        default=False, metadata={"help": "record mean log-probabilities, for --weight logprob"}
    )
    constrain: Literal["off", "schema"] = field(
        default="off",
        metadata={
            "help": "schema: the SQL parses and names only tables and columns that the database has"
        },
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
            self.n = 1  # further ones would be copies


def sampling_params(options: SamplingOptions, template: str) -> SamplingParams:
    """The sampling parameters for prompts of this template."""
    layout = read_template(template).layout
    return SamplingParams(
        temperature=options.temperature,
        top_p=options.top_p,
        max_tokens=options.max_tokens,
        stop=("</answer>",) if layout is Layout.THINK else (),
        logprobs=options.logprobs,
        constrain=layout if options.constrain == "schema" else None,
    )


@dataclass(kw_only=True)
class PlanOptions(SamplingOptions):
    """How many candidates to sample, and how."""

    round_size: int = field(
        default=0, metadata={"help": "candidates sampled per round; 0: all in one round"}
    )
    confidence: float = field(
        default=1.0,
        metadata={"help": "stop sampling a question when its vote is this certain, such as 0.9"},
    )
    repair: bool = field(
        default=False,
        metadata={"help": "let the model correct a candidate that fails, once, given its error"},
    )

    def __post_init__(self) -> None:
        SamplingOptions.__post_init__(self)
        if not 0.5 < self.confidence <= 1:
            raise ValueError(f"--confidence must be above 0.5, at most 1; got {self.confidence}")
        if self.confidence < 1 and not self.round_size:
            self.round_size = 1

    def plan_for(self, template: str) -> SamplingPlan:
        """The plan for a question whose prompt uses this template."""
        return SamplingPlan(
            sampling=sampling_params(self, template),
            n=self.n,
            round_size=self.round_size,
            confidence=self.confidence,
            repair=self.repair,
            seed=self.seed,
        )
