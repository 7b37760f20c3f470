"""Measure what `--skip_zero_variance` saves: GRPO with and without it on the quickstart's data.

    make quickstart
    python scripts/bench/zero_variance.py --quickstart quickstart --seeds 1 2 3

Prepares the quickstart's GRPO rows with the pass rates of its own samples and trains from its SFT
checkpoint, twice for each seed: on all rows (`all-SEED`) and with the option (`skip-SEED`). Prints
the rollouts until an execution accuracy on the held-out questions is reached. A run takes a minute
or two on two cores. Finished stages are reused, so you can add seeds later. To compare other runs,
use scripts/bench/groups.py.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from scripts.bench.groups import Curve, comparison, read_curve, table
from scripts.demo.stages import CONFIGS, THINK
from scripts.stage import Stage, run_chain
from slmsql.cli.config import parse
from slmsql.cli.programs import ROOT
from slmsql.errors import InputError, run_program
from slmsql.files import write_json

METRIC = "eval_ex_greedy"


@dataclass(frozen=True, slots=True)
class Options:
    quickstart: Path = field(metadata={"help": "a finished folder of scripts/quickstart.py"})
    output: Path = field(
        default=Path("zero_variance"), metadata={"help": "folder for rows and runs"}
    )
    seeds: list[int] = field(
        default_factory=lambda: [1, 2, 3], metadata={"help": "each trains two models"}
    )
    levels: list[float] = field(
        default_factory=lambda: [0.9, 0.95], metadata={"help": "accuracies to reach, 0 to 1"}
    )
    groups: int = field(default=4, metadata={"help": "groups of 8 completions in a step"})
    learning_rate: float = 7e-5
    max_steps: int = 24

    def __post_init__(self) -> None:
        if not (ROOT / self.quickstart / "sft_rl_sampled.jsonl").is_file():
            raise InputError(f"{self.quickstart}: not a finished quickstart; run `make quickstart`")


def main() -> None:
    options = parse(Options, about=__doc__)
    run_chain(stages(options), ROOT / options.output)
    all_rows = _curves("all", options)
    skipping = _curves("skip", options)
    comparisons = {str(level): comparison(all_rows, skipping, level) for level in options.levels}
    print()
    for level in options.levels:
        print(table([*all_rows, *skipping], level), comparisons[str(level)], "", sep="\n")
    write_json(ROOT / options.output / "comparison.json", comparisons)


def _curves(setting: str, options: Options) -> list[Curve]:
    runs = [ROOT / options.output / f"{setting}-{seed}" for seed in options.seeds]
    return [read_curve(run, METRIC) for run in runs]


def stages(options: Options) -> list[Stage]:
    """Rows for training and validation, then two trainings for each seed."""
    quickstart = shlex.quote(str(options.quickstart))
    out = shlex.quote(str(options.output))
    rows = f"--template {THINK} --sample_values 0"
    return [
        Stage(
            "rows_rl",
            "Training rows with the pass rates of the SFT model's samples",
            f"""python scripts/prepare_rl.py --questions {quickstart}/demo/rl.jsonl
            --output {out}/rl.jsonl {rows} --candidates {quickstart}/sft_rl_sampled.jsonl
            --pass_above -1 --pass_below 2""",
            outputs=(options.output / "rl.jsonl",),
            reads=(THINK,),
        ),
        Stage(
            "rows_held_out",
            "Validation rows",
            f"""python scripts/prepare_rl.py --questions {quickstart}/demo/test.jsonl
            --output {out}/held_out.jsonl {rows} --allow_evaluation_split true""",
            outputs=(options.output / "held_out.jsonl",),
            reads=(THINK,),
        ),
        *(
            Stage(
                f"{setting}-{seed}",
                f"GRPO with seed {seed}, {about}",
                f"""python rl/grpo.py --config {CONFIGS}/grpo.yaml --seed {seed}
                --model_name_or_path {quickstart}/sft --train_file {out}/rl.jsonl
                --skip_zero_variance {skip} --validation_file {out}/held_out.jsonl
                --eval_strategy steps --eval_steps 2 --per_device_eval_batch_size 400
                --per_device_train_batch_size {8 * options.groups}
                --learning_rate {options.learning_rate} --max_steps {options.max_steps}
                --output_dir {out}/{setting}-{seed}""",
                outputs=(options.output / f"{setting}-{seed}",),
                reads=(CONFIGS / "grpo.yaml",),
            )
            for seed in options.seeds
            for setting, about, skip in (
                ("all", "on all rows", "false"),
                ("skip", "skipping rows whose group had zero variance", "true"),
            )
        ),
    ]


if __name__ == "__main__":
    run_program(main)
