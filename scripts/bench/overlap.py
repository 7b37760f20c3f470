"""How much longer does generation take because the candidates' SQL runs at the same time?

    python scripts/bench/overlap.py --model quickstart/grpo \\
        --questions quickstart/demo/test.jsonl --template configs/quickstart/think.txt \\
        --sample_values 0 --max_tokens 64 --temperature 1.0 --json overlap.json

Takes the options of inference/generate.py. The model is loaded once. Then two ways take turns, so
that other work of the machine slows both: all that inference/generate.py does, and the same
requests to the sampler with nothing else. The first turn of each is a warm-up: from then on, the
prompts' prefixes are cached.

A good result: a ratio near 1. It was 1.015 on two cores (docs/inference.md).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from inference import generate
from inference.options import PlanOptions, QuestionOptions, RuleOptions
from inference.sampling.loading import sampler_when_needed
from inference.sampling.options import SamplerOptions
from inference.sampling.sampler import Request, Sampler, seed_of
from inference.sampling.scheduler import WINDOW
from slmsql.cli.config import parse
from slmsql.cli.options import PromptOptions
from slmsql.errors import run_program
from slmsql.files import write_json
from slmsql.prompt.build import build_prompt


@dataclass(kw_only=True)
class Options:
    source: QuestionOptions
    prompt: PromptOptions
    plan: PlanOptions
    sampler: SamplerOptions
    workers: int = field(default=0, metadata={"help": "processes that run SQL; 0: all cores"})
    repeats: int = field(default=7, metadata={"help": "turns of each way, without the warm-up"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if self.plan.round_size or self.plan.repair:
            raise ValueError("leave out --round_size, --confidence and --repair: they need results")


def main(options: Options) -> None:
    with sampler_when_needed(options.sampler) as get_sampler:
        alone_seconds(options, get_sampler())
        generate_seconds(options, get_sampler)
        turns = [turn(options, get_sampler, number) for number in range(options.repeats)]
    ratios = [whole / alone for alone, whole in turns]
    middle, low, high = median(ratios), min(ratios), max(ratios)
    print(
        f"generate takes {middle:.3f} times as long as generation alone ({low:.3f} to {high:.3f})"
    )
    if options.json:
        figures = {"ratio": middle, "lowest": low, "highest": high, "seconds": turns}
        write_json(options.json, figures)


def turn(options: Options, get_sampler: Callable[[], Sampler], number: int) -> tuple[float, float]:
    """Seconds of generation alone and of generate; every other turn begins with generate."""
    if number % 2 == 0:
        alone = alone_seconds(options, get_sampler())
        whole = generate_seconds(options, get_sampler)
    else:
        whole = generate_seconds(options, get_sampler)
        alone = alone_seconds(options, get_sampler())
    print(f"alone {alone:.2f} s, generate {whole:.2f} s", flush=True)
    return alone, whole


def alone_seconds(options: Options, sampler: Sampler) -> float:
    """Sample for all questions, as many at a time as generate does, and drop the results."""
    start = time.monotonic()
    plan = options.plan.plan_for(options.prompt.template)
    questions = iter(options.source.select(options.source.read_all()))
    pending = 0
    question = next(questions, None)
    while pending or question is not None:
        while pending < WINDOW and question is not None:
            messages = build_prompt(question, options.prompt.prompt_settings).messages
            seed = seed_of(plan.seed, question.id)
            sampler.submit(Request(question.id, messages, plan.n, seed, plan.sampling))
            pending += 1
            question = next(questions, None)
        pending -= len(sampler.completed())
    return round(time.monotonic() - start, 3)


def generate_seconds(options: Options, get_sampler: Callable[[], Sampler]) -> float:
    """All that inference/generate.py does once its model is loaded."""
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
        generate.run(generation, get_sampler)
    return round(time.monotonic() - start, 3)


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
