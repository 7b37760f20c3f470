"""What running the SQL costs while candidates are generated: wall time with it and without.

    python scripts/bench/overlap.py --model quickstart/grpo \\
        --questions quickstart/demo/test.jsonl --template configs/quickstart/think.txt \\
        --sample_values 0 --max_tokens 64 --temperature 1.0 --json overlap.json

Takes the options of inference/generate.py. The model is loaded once; then the whole of generate and
the same requests without anything behind them take turns, so that what else the machine does
meets both. The first turn of each only warms up: prefixes are cached from then on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from inference import generate
from inference.sampling.loading import sampler_when_needed
from inference.sampling.sampler import Request, Sampler, seed_of
from inference.sampling.scheduler import WINDOW
from slmsql.cli.config import parse
from slmsql.errors import run_program
from slmsql.files import write_json
from slmsql.prompt.build import build_prompt


@dataclass(kw_only=True)
class Options(generate.Options):
    output: Path = field(default=Path("candidates.jsonl"), metadata={"help": "not kept"})
    repeats: int = field(default=7, metadata={"help": "turns of each that count"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        generate.Options.__post_init__(self)
        if self.round_size or self.repair:
            raise ValueError("leave out --round_size, --confidence and --repair: they need results")


def main(options: Options) -> None:
    """Take turns, then say the ratio of each pair."""
    with sampler_when_needed(options) as sampler:
        ways = (lambda: alone(options, sampler()), lambda: whole(options, sampler))
        for way in ways:
            way()
        pairs = [_pair(ways, number) for number in range(options.repeats)]
    ratios = [with_sql / without for without, with_sql in pairs]
    middle, low, high = median(ratios), min(ratios), max(ratios)
    print(f"generate takes {middle:.3f} of generation alone, {low:.3f} to {high:.3f}")
    if options.json:
        figures = {"ratio": middle, "lowest": low, "highest": high, "seconds": pairs}
        write_json(options.json, figures)


def alone(options: Options, sampler: Sampler) -> None:
    """Prompts and samples of all questions, and nothing done with them."""
    plan = options.plan
    waiting = iter(options.part_of(options.read_all()))
    under_way, is_over = 0, False
    while under_way or not is_over:
        while under_way < WINDOW and not (is_over := (question := next(waiting, None)) is None):
            messages = build_prompt(question, options.prompt_settings)
            seed = seed_of(plan.seed, question.id)
            sampler.submit(Request(question.id, messages, plan.n, seed, plan.sampling))
            under_way += 1
        under_way -= len(sampler.completed())


def whole(options: Options, sampler: Callable[[], Sampler]) -> None:
    """All that inference/generate.py does once its model is loaded."""
    with TemporaryDirectory() as folder:
        generate.run(replace(options, output=Path(folder) / "candidates.jsonl"), sampler)


def _pair(ways: tuple[Callable[[], None], ...], number: int) -> list[float]:
    """Seconds of both ways; every other pair begins with the other one."""
    seconds = [0.0, 0.0]
    for way in (0, 1) if number % 2 == 0 else (1, 0):
        start = time.monotonic()
        ways[way]()
        seconds[way] = round(time.monotonic() - start, 3)
    print(f"alone {seconds[0]:.2f} s, generate {seconds[1]:.2f} s", flush=True)
    return seconds


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
