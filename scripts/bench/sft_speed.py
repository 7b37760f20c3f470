"""How fast is SFT beside TRL's own `trl sft`, on the same rows, model and settings?

    python scripts/bench/sft_speed.py --data rows.jsonl --model MODEL --json bench.json

Starts both programs as users do, in turn, `--repeats` times, and compares the best run of each, in
tokens per second. Without a GPU the seconds are processor time on one core, so other work of the
machine has little effect. `scripts/bench/gpu.py` measures on a GPU, without starting programs.

    git worktree add ../before COMMIT
    python scripts/bench/sft_speed.py --data rows.jsonl --model MODEL --before ../before

compares with an earlier state of this repository instead.

A good result: a ratio of at least 1. docs/sft.md has what was measured.
"""

import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from subprocess import PIPE

from scripts.bench.processes import peak_megabytes, process_tree, processor_seconds
from slmsql.cli.config import parse
from slmsql.cli.programs import ROOT, start
from slmsql.errors import InputError, run_program
from slmsql.files import Record, read_jsonl, write_json, write_jsonl

SFT = ["accelerate", "launch", "--num_processes", "1", "sft/train.py"]


@dataclass
class Options:
    data: Path = field(metadata={"help": "training rows"})
    model: str = field(metadata={"help": "model folder or name"})
    steps: int = field(default=20, metadata={"help": "steps of each run"})
    batch: int = field(default=4, metadata={"help": "rows of a step"})
    max_length: int = field(default=2048, metadata={"help": "use only rows of so many tokens"})
    repeats: int = field(default=3, metadata={"help": "runs of each program"})
    before: Path | None = field(
        default=None, metadata={"help": "checkout of an earlier commit to compare with"}
    )
    bf16: bool = field(default=False, metadata={"help": "16-bit arithmetic on a CPU, too"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if not self.data.is_file():
            raise ValueError(f"no file {self.data}")
        if self.before and not (self.before / SFT[-1]).is_file():
            raise ValueError(f"{self.before} is no checkout of this repository")


def main() -> None:
    options = parse(Options, about=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        figures = compare(options, Path(folder))
    for name, value in figures.items():
        print(f"{name:<32} {value:,.3f}")
    if options.json:
        write_json(options.json, figures)


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one run."""

    tokens_per_second: float
    peak_megabytes: float


def compare(options: Options, folder: Path) -> dict[str, float]:
    """Speed and memory of both programs."""
    write_jsonl(folder / "trl" / "train.jsonl", short_rows(options))
    commands = commands_of(options, folder)
    other = next(name for name in commands if name != "ours")
    runs: dict[str, list[Speed]] = {name: [] for name in commands}
    for repeat in range(options.repeats):
        for name, command in commands.items():
            words = [*shared_words(options), "--output_dir", f"{folder}/{name}{repeat}"]
            speed = measure([*command, *words], options.before if name == "before" else ROOT)
            runs[name].append(speed)
            print(f"{name} {repeat + 1}: {speed.tokens_per_second:,.0f} tokens/s", flush=True)
    fastest = {name: max(run.tokens_per_second for run in runs[name]) for name in runs}
    largest = {name: max(run.peak_megabytes for run in runs[name]) for name in runs}
    return {
        **{f"{name}_tokens_per_second": speed for name, speed in fastest.items()},
        **{f"{name}_peak_megabytes": size for name, size in largest.items()},
        "ratio": fastest["ours"] / fastest[other],
        "memory_ratio": largest["ours"] / largest[other],
    }


def commands_of(options: Options, folder: Path) -> dict[str, list[str]]:
    """What is run in turn: our program, and TRL's or that of an earlier commit."""
    data = ["--data", f"{folder}/trl/train.jsonl"]
    commands = {"ours": [*SFT, *data]}
    if options.before:
        program = str(options.before.resolve() / SFT[-1])
        return {"before": [*SFT[:-1], program, *data], **commands}
    return {**commands, "trl": ["trl", "sft", "--dataset_name", f"{folder}/trl"]}


def short_rows(options: Options) -> list[Record]:
    """As many rows as are trained on, all so short that no program drops or cuts one."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def is_short(row: Record) -> bool:
        text = tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False)
        return len(tokenizer(text)["input_ids"]) <= options.max_length

    rows = (
        {name: row[name] for name in ("prompt", "completion")} for row in read_jsonl(options.data)
    )
    if chosen := list(islice(filter(is_short, rows), options.steps * options.batch)):
        return chosen
    raise InputError(f"{options.data} has no row of at most {options.max_length} tokens")


def shared_words(options: Options) -> list[str]:
    """The options that both programs get. Nothing is saved, so only training is timed."""
    on_cpu = not has_gpu()
    return as_words(
        {
            "model_name_or_path": options.model,
            "max_steps": options.steps,
            "per_device_train_batch_size": options.batch,
            "max_length": options.max_length + 8,  # templates differ by a token or two
            "gradient_checkpointing": False,
            "bf16": options.bf16 or not on_cpu,
            "use_cpu": on_cpu,
            "save_strategy": "no",
            "logging_steps": 1,
            "report_to": "none",
            "seed": 1,
        }
    )


def as_words(values: Mapping[str, object]) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def measure(words: list[str], checkout: Path | None = None) -> Speed:
    """Run a program; its own log says the tokens of each step, from the first to the last."""
    progress, peak = [], 0.0
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str((checkout or ROOT).resolve())}
    with (
        tempfile.TemporaryFile("w+b") as errors,
        start(words, environment=environment, stdout=PIPE, stderr=errors) as process,
    ):
        for line in process.stdout or ():
            if match := re.search(r"'num_tokens': '?([\d.e+]+)", line.decode()):
                progress.append((float(match[1]), seconds(process.pid)))
                peak = max(map(peak_megabytes, process_tree(process.pid)))
        if process.wait():
            errors.seek(0)
            last_line = errors.read().decode().strip().splitlines()[-1]
            raise InputError(f"{' '.join(words)}: {last_line}")
    (first_tokens, began), (last_tokens, ended) = progress[0], progress[-1]
    return Speed((last_tokens - first_tokens) / (ended - began), peak)


def seconds(pid: int) -> float:
    """Processor time of a program and its children; on a GPU, which does the work, clock time."""
    if has_gpu():
        return time.monotonic()
    return sum(map(processor_seconds, process_tree(pid)))


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


if __name__ == "__main__":
    run_program(main)
