"""GRPO over a grid of learning rates and group sizes: a table and a page with the plot.

    python scripts/sweep.py --grpo_config configs/quickstart/grpo.yaml --model quickstart/sft \\
        --rows quickstart/rl.jsonl --learning_rates 1.5e-4 5e-4 --group_sizes 4 8 --output sweep

One training after the other starts from the same model on the same rows. The last rows are held
out, and each trained model answers them greedily. OUTPUT/sweep.json has each accuracy with its
interval, OUTPUT/sweep.html the plot and the curves of the rewards. A second call runs only what is
not done yet. `--more "--report_to wandb"` passes words on to rl/grpo.py.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from scripts.stage import Stage, run_chain
from slmsql.cli.config import parse
from slmsql.cli.programs import ROOT, run
from slmsql.errors import InputError, run_program
from slmsql.files import Record, read_json, read_jsonl, write_json, write_jsonl

CRITERION = "eval_ex_greedy"


@dataclass(kw_only=True)
class Options:
    grpo_config: Path = field(metadata={"help": "--config of rl/grpo.py"})
    model: Path = field(metadata={"help": "the model that each training starts from"})
    rows: Path = field(metadata={"help": "GRPO rows, as prepare_rl.py writes them"})
    output: Path = field(metadata={"help": "folder for all trainings"})
    learning_rates: list[float] = field(metadata={"help": "one training for each ..."})
    group_sizes: list[int] = field(metadata={"help": "... with each number of completions"})
    steps: int = field(default=30, metadata={"help": "of each training"})
    held_out: int = field(default=100, metadata={"help": "rows at the end to validate on"})
    launcher: Path = field(
        default=Path("configs/accelerate/one.yaml"), metadata={"help": "of accelerate"}
    )
    more: str = field(default="", metadata={"help": "more words for rl/grpo.py"})


@dataclass(frozen=True, slots=True)
class Point:
    """One training of the grid."""

    learning_rate: float
    group_size: int

    @property
    def name(self) -> str:
        return f"learning rate {self.learning_rate:g}, groups of {self.group_size}"

    @property
    def folder(self) -> str:
        return f"lr_{self.learning_rate:g}_group_{self.group_size}"


def main() -> None:
    options = parse(Options, about=__doc__)
    points = [Point(*pair) for pair in product(options.learning_rates, options.group_sizes)]
    _split_rows(options)
    run_chain([_stage(point, options) for point in points], options.output)
    figures = list(_figures(points, options.output))
    for figure in figures:
        low, high = figure["interval"]
        print(f"{figure['name']:<40} {figure['value']:5.1f}   [{low:.1f}, {high:.1f}]")
    title = f"GRPO of {options.model.name} by learning rate and group size"
    write_json(options.output / "sweep.json", {"title": title, "stages": figures})
    _write_page(points, options.output)


def _split_rows(options: Options) -> None:
    """Write the rows to train on and those to validate on.

    Raises:
        InputError: there are too few rows.
    """
    rows = list(read_jsonl(options.rows))
    if len(rows) <= options.held_out:
        raise InputError(f"{options.rows}: {len(rows)} rows, so {options.held_out} is too many")
    write_jsonl(options.output / "train.jsonl", rows[: -options.held_out])
    write_jsonl(options.output / "validation.jsonl", rows[-options.held_out :])


def _stage(point: Point, options: Options) -> Stage:
    output = options.output / point.folder
    settings = {
        "config": options.grpo_config,
        "model_name_or_path": options.model,
        "train_file": options.output / "train.jsonl",
        "validation_file": options.output / "validation.jsonl",
        "max_steps": options.steps,
        "eval_strategy": "steps",
        "eval_steps": options.steps,
        "eval_on_start": "true",
        "output_dir": output,
        "learning_rate": point.learning_rate,
        "num_generations": point.group_size,
    }
    words = ["accelerate", "launch", "--config_file", options.launcher, "rl/grpo.py"]
    words += [word for name, value in settings.items() for word in (f"--{name}", value)]
    return Stage(
        point.folder,
        f"GRPO: {point.name}",
        f"{shlex.join(map(str, words))} {options.more}",
        outputs=(output,),
        reads=(options.grpo_config,),
    )


def _figures(points: Sequence[Point], folder: Path) -> Iterator[Record]:
    """The accuracy of the model that all trainings start from, and of each trained one."""
    histories = [
        [
            entry
            for entry in read_json(folder / point.folder / "trainer_state.json")["log_history"]
            if CRITERION in entry
        ]
        for point in points
    ]
    yield _figure("before", histories[0][0])
    for point, history in zip(points, histories, strict=True):
        yield _figure(point.name, history[-1])


def _figure(name: str, entry: Record) -> Record:
    low, high = entry[f"{CRITERION}_low"], entry[f"{CRITERION}_high"]
    return {
        "name": name,
        "value": round(100 * entry[CRITERION], 2),
        "n": int(entry["eval_questions"]),
        "interval": [round(100 * low, 2), round(100 * high, 2)],
    }


def _write_page(points: Sequence[Point], folder: Path) -> None:
    curves = [f"{point.name}={folder / point.folder}/trainer_state.json" for point in points]
    files = ("--stages", f"{folder}/sweep.json", "--output", f"{folder}/sweep.html")
    if status := run(("python", "scripts/report.py", *files, "--curves", *curves), cwd=ROOT):
        sys.exit(status)


if __name__ == "__main__":
    run_program(main)
