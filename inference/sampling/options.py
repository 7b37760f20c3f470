"""Options of the programs that sample: which model, by which means, how completions are drawn."""

from dataclasses import dataclass, field
from typing import Literal

from inference.sampling.sampler import SamplingParams
from slmsql.prompt.build import Layout, read_template


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


def sampling_params(options: SamplingOptions, template: str) -> SamplingParams:
    """The sampling parameters for prompts of this template."""
    think = read_template(template).layout is Layout.THINK
    return SamplingParams(
        temperature=options.temperature,
        top_p=options.top_p,
        max_tokens=options.max_tokens,
        stop=("</answer>",) if think else (),
        logprobs=options.logprobs,
    )
