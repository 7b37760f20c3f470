"""How fast is inference/generate.py beside vLLM's own throughput, on the same prompts?

    python scripts/bench/throughput.py --model models/smollm2 --benchmark spider --root SPIDER \\
        --split dev --limit 100 --template schema --n 4 --max_tokens 64 --json throughput.json

Takes the options of inference/generate.py, which reads schemas, builds prompts, samples, runs the
SQL and writes candidates. vLLM gets the finished prompts, all in one call, as in `vllm bench
throughput`. The model is loaded once. Both take turns, so that other work of the machine slows
both, and each turn starts with an empty prefix cache. The first turn of each is a warm-up.

A good result: generate reaches at least 90 % of vLLM's completion tokens per second.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from inference import generate
from slmsql.cli.config import parse
from slmsql.cli.options import PromptOptions, QuestionOptions
from slmsql.consistency.options import RuleOptions
from slmsql.errors import run_program
from slmsql.files import read_jsonl, write_json
from slmsql.prompt.build import build_prompt
from slmsql.sampling.options import PlanOptions, SamplerOptions
from slmsql.sampling.prompt_ids import prompt_tokens
from slmsql.sampling.sampler import Request
from slmsql.sampling.vllm_sampler import VllmSampler, vllm_parameters


@dataclass(kw_only=True)
class Options:
    source: QuestionOptions
    prompt: PromptOptions
    plan: PlanOptions
    sampler: SamplerOptions
    workers: int = field(default=0, metadata={"help": "processes that run SQL; 0: all cores"})
    repeats: int = field(default=5, metadata={"help": "turns of each way, without the warm-up"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if self.plan.round_size or self.plan.repair:
            raise ValueError("leave out --round_size, --confidence and --repair: they need results")
        if self.sampler.sampler not in ("auto", "vllm"):
            raise ValueError(f"--sampler {self.sampler.sampler}: this measures vllm")


@dataclass(frozen=True, slots=True)
class Turn:
    """Completion tokens per second of both ways, one after the other."""

    vllm: float
    generate: float

    @property
    def ratio(self) -> float:
        return self.generate / self.vllm


def main() -> None:
    options = parse(Options, about=__doc__)
    turns = measure(options)
    figures = figures_of(turns)
    print(
        f"generate reaches {figures['ratio']:.1%} of vLLM's throughput (median of {len(turns)} "
        f"turns, {figures['lowest']:.1%} to {figures['highest']:.1%})"
    )
    if options.json:
        write_json(options.json, figures)


def measure(options: Options) -> list[Turn]:
    """Load the model, warm up, and measure each turn; every other one begins with generate."""
    sampler = VllmSampler(options.sampler)
    ways: list[Callable[[Options, VllmSampler], float]] = [vllm_speed, generate_speed]
    turns = []
    for number in range(options.repeats + 1):
        order = ways if number % 2 == 0 else ways[::-1]
        speed = {way: way(options, sampler) for way in order}
        turns.append(Turn(speed[vllm_speed], speed[generate_speed]))
        print(
            f"vLLM {turns[-1].vllm:,.0f}, generate {turns[-1].generate:,.0f} tokens/s", flush=True
        )
    sampler.close()
    return turns[1:]


def figures_of(turns: list[Turn]) -> dict[str, Any]:
    ratios = [turn.ratio for turn in turns]
    return {
        "ratio": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "vllm_tokens_per_second": median(turn.vllm for turn in turns),
        "generate_tokens_per_second": median(turn.generate for turn in turns),
    }


def vllm_speed(options: Options, sampler: VllmSampler) -> float:
    """Give vLLM all prompts as token ids; samples are not seeded, as in its own benchmark."""
    sampler.llm.reset_prefix_cache()
    plan = options.plan.plan_for(options.prompt.template)
    tokenizer = sampler.llm.get_tokenizer()
    prompts = []
    for question in options.source.select(options.source.read_all()):
        messages = build_prompt(question, options.prompt.prompt_settings).messages
        prompts.append({"prompt_token_ids": prompt_tokens(tokenizer, messages)})
    parameters = vllm_parameters(Request("", [], plan.n, plan.seed, plan.sampling), index=0)
    parameters.n, parameters.extra_args = plan.n, None
    parameters.temperature, parameters.top_p = plan.sampling.temperature, plan.sampling.top_p
    start = time.monotonic()
    outputs = sampler.llm.generate(prompts, parameters, use_tqdm=False)
    seconds = time.monotonic() - start
    tokens = sum(len(sample.token_ids) for output in outputs for sample in output.outputs)
    return float(tokens / seconds)


def generate_speed(options: Options, sampler: VllmSampler) -> float:
    """All that inference/generate.py does once its model is loaded."""
    sampler.llm.reset_prefix_cache()
    start = time.monotonic()
    with TemporaryDirectory() as folder:
        generation = generate.Options(
            source=options.source,
            prompt=options.prompt,
            plan=options.plan,
            sampler=options.sampler,
            output=Path(folder) / "candidates.jsonl",
            workers=options.workers,
            rules=RuleOptions(),
        )
        generate.run(generation, lambda: sampler)
        seconds = time.monotonic() - start
        tokens = sum(int(record["tokens"]) for record in read_jsonl(generation.output))
        return tokens / seconds


if __name__ == "__main__":
    run_program(main)
