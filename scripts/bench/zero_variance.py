"""Measure what resting rows save: GRPO with and without it, from the quickstart's SFT checkpoint.

    make quickstart
    python scripts/bench/zero_variance.py --quickstart quickstart --seeds 1 2 3

Prepares the quickstart's GRPO rows with the pass rates of its own samples, trains twice with every
seed, and prints the rollouts until an execution accuracy on the held-out questions
(scripts/bench/groups.py compares any other runs). Stages that are done are reused; more seeds can
be added later. A run takes a minute or two on two cores.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from scripts.bench.groups import comparison, read_curve, table
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
    output: Path = field(default=Path("resting"), metadata={"help": "folder for rows and runs"})
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3], metadata={"help": "of the runs"})
    levels: list[float] = field(
        default_factory=lambda: [0.9, 0.95], metadata={"help": "accuracies to reach, 0 to 1"}
    )
    groups: int = field(default=4, metadata={"help": "of 8 completions, of each step"})
    learning_rate: float = 7e-5
    max_steps: int = 24

    def __post_init__(self) -> None:
        if not (ROOT / self.quickstart / "sft_rl_sampled.jsonl").is_file():
            raise InputError(f"{self.quickstart}: no finished quickstart; `make quickstart`")


def main() -> None:
    options = parse(Options, about=__doc__)
    run_chain(stages(options), ROOT / options.output)
    plain, resting = (
        [read_curve(ROOT / options.output / f"{name}-{seed}", METRIC) for seed in options.seeds]
        for name in ("plain", "resting")
    )
    print()
    for level in options.levels:
        print(table([*plain, *resting], level), comparison(plain, resting, level), "", sep="\n")
    texts = {str(level): comparison(plain, resting, level) for level in options.levels}
    write_json(ROOT / options.output / "resting.json", texts)


def stages(options: Options) -> list[Stage]:
    """Rows for training and validation, then two runs with each seed."""
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
                f"{name}-{seed}",
                f"GRPO, {name}-{seed}",
                f"""python rl/grpo.py --config {CONFIGS}/grpo.yaml --seed {seed}
                --model_name_or_path {quickstart}/sft --train_file {out}/rl.jsonl
                --skip_zero_variance {skips} --validation_file {out}/held_out.jsonl
                --eval_strategy steps --eval_steps 2 --per_device_eval_batch_size 400
                --per_device_train_batch_size {8 * options.groups}
                --learning_rate {options.learning_rate} --max_steps {options.max_steps}
                --output_dir {out}/{name}-{seed}""",
                outputs=(options.output / f"{name}-{seed}",),
                reads=(CONFIGS / "grpo.yaml",),
            )
            for seed in options.seeds
            for name, skips in (("plain", "false"), ("resting", "true"))
        ),
    ]


if __name__ == "__main__":
    run_program(main)
