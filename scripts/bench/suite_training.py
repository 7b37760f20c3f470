"""Does a reward that luck cannot earn train a better model? GRPO on databases of a few rows.

    make quickstart
    python scripts/bench/suite_training.py --quickstart quickstart --seeds 1 2 3

Copies the quickstart's training databases with a few rows of each table, so that many wrong
queries agree with the gold query by chance. From the quickstart's SFT checkpoint it trains two
models for each seed: `plain-SEED` is paid by those databases alone, `suite-SEED` by their
neighbours, too. Both answer the held-out questions, which are judged on the whole databases and on
neighbours of these (`ex_suite`). Prints for each model EX, suite EX and the share of right answers
that are refused. Finished stages are reused: stopped, the same command goes on, and you can add
seeds later.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts.demo.stages import CONFIGS, THINK
from scripts.stage import Stage, run_chain
from slmsql.cli.config import parse
from slmsql.cli.programs import ROOT
from slmsql.errors import InputError, run_program
from slmsql.execution import Filling, create_filled
from slmsql.files import read_json_object, read_jsonl, write_jsonl
from slmsql.suites.neighbours.profile import Profile, Row
from slmsql.suites.neighbours.reading import read_profile


@dataclass(frozen=True, slots=True)
class Options:
    quickstart: Path = field(metadata={"help": "a finished folder of scripts/quickstart.py"})
    output: Path = field(default=Path("suite_training"), metadata={"help": "folder for all files"})
    seeds: list[int] = field(
        default_factory=lambda: [1, 2, 3], metadata={"help": "each trains two models"}
    )
    rows: int = field(default=6, metadata={"help": "of a table in the small databases"})
    questions: int = field(default=480, metadata={"help": "training questions, at most"})
    held_out: int = field(default=400, metadata={"help": "held-out questions, at most"})
    max_steps: int = field(default=30, metadata={"help": "of GRPO"})

    def __post_init__(self) -> None:
        if not (ROOT / self.quickstart / "sft").is_dir():
            raise InputError(f"{self.quickstart}: not a finished quickstart; run `make quickstart`")


def main() -> None:
    options = parse(Options, about=__doc__)
    _write_questions(options)
    run_chain(list(stages(options)), ROOT / options.output)
    print(f"\n{'model':<12}{'EX':>8}{'ex_suite':>10}{'refused of right':>18}")
    for seed in options.seeds:
        for setting in ("plain", "suite"):
            print(_line(f"{setting}-{seed}", options))


def _line(run: str, options: Options) -> str:
    report = read_json_object(ROOT / options.output / f"score-{run}" / "report.json")
    right, suite = report["metrics"]["ex_bird"], report["metrics"]["ex_suite"]
    refused = sum(report["coincidences"].values()) / max(1, right["count"])
    return f"{run:<12}{right['value']:>8.1f}{suite['value']:>10.1f}{refused:>18.1%}"


def _write_questions(options: Options) -> None:
    """The held-out questions, and the training questions on databases of a few rows."""
    demo = ROOT / options.quickstart / "demo"
    held_out = list(read_jsonl(demo / "test.jsonl"))[: options.held_out]
    write_jsonl(ROOT / options.output / "held_out.jsonl", held_out)
    records = list(read_jsonl(demo / "rl.jsonl"))[: options.questions]
    small = {
        database: options.output / "small" / Path(database).parent.name / Path(database).name
        for database in {record["database"] for record in records}
    }
    for database, target in small.items():
        if not (ROOT / target).exists():
            write_small(read_profile(ROOT / database), ROOT / target, options.rows)
    write_jsonl(
        ROOT / options.output / "train.jsonl",
        ({**record, "database": str(small[record["database"]])} for record in records),
    )


def write_small(profile: Profile, target: Path, count: int) -> None:
    """Some rows of each table, whose parents are among those of their tables."""
    kept: dict[str, list[Row]] = {}
    for table in profile.tables:  # parents first
        rows = list(table.rows)
        for link in table.links:
            keys = {tuple(row[i] for i in link.references) for row in kept.get(link.parent, [])}
            rows = [row for row in rows if tuple(row[i] for i in link.columns) in keys]
        kept[table.name] = rows[:count]
    fillings = {table.name: Filling(table.columns, kept[table.name]) for table in profile.tables}
    target.parent.mkdir(parents=True, exist_ok=True)
    create_filled(target, profile.before, fillings, profile.after)


def stages(options: Options) -> Iterator[Stage]:
    """Suites and rows, then for each seed and reward: training, answers, score."""
    out = shlex.quote(str(options.output))
    for name, about, questions in (
        ("suites", "Neighbours of the small databases", f"{out}/train.jsonl"),
        ("hidden", "Neighbours of the databases that score", f"{out}/held_out.jsonl"),
    ):
        yield Stage(
            name,
            about,
            f"""python scripts/make_neighbours.py --questions {questions} --output {out}/{name}
            --without_keys true""",
            outputs=(options.output / name,),
        )
    yield Stage(
        "rows",
        "GRPO rows on the small databases",
        f"""python scripts/prepare_rl.py --questions {out}/train.jsonl --output {out}/rl.jsonl
        --template {THINK} --sample_values 0""",
        outputs=(options.output / "rl.jsonl",),
        reads=(THINK,),
    )
    for seed in options.seeds:
        for setting, reward in (("plain", "execution"), ("suite", "execution_suite")):
            yield from _model(f"{setting}-{seed}", reward, seed, options)


def _model(run: str, reward: str, seed: int, options: Options) -> Iterator[Stage]:
    quickstart, out = shlex.quote(str(options.quickstart)), shlex.quote(str(options.output))
    test = f"--questions {out}/held_out.jsonl"
    yield Stage(
        run,
        f"GRPO with seed {seed}, paid by {reward}",
        f"""python rl/grpo.py --config {CONFIGS}/grpo.yaml --seed {seed}
        --model_name_or_path {quickstart}/sft --train_file {out}/rl.jsonl --suites {out}/suites
        --rewards {reward} format --per_device_train_batch_size 128
        --max_steps {options.max_steps} --output_dir {out}/{run}""",
        outputs=(options.output / run,),
        reads=(CONFIGS / "grpo.yaml",),
    )
    yield Stage(
        f"candidates-{run}",
        "One greedy answer to each held-out question",
        f"""python inference/generate.py --model {out}/{run} {test} --temperature 0
        --template {THINK} --sample_values 0 --max_tokens 64
        --sampler transformers --output {out}/candidates-{run}.jsonl""",
        outputs=(options.output / f"candidates-{run}.jsonl",),
        reads=(THINK,),
    )
    yield Stage(
        f"predictions-{run}",
        "Predictions",
        f"""python inference/vote.py --candidates {out}/candidates-{run}.jsonl {test}
        --output {out}/predictions-{run}.jsonl""",
        outputs=(options.output / f"predictions-{run}.jsonl",),
    )
    yield Stage(
        f"score-{run}",
        "Score on the whole databases and their neighbours",
        f"""python scripts/evaluate.py {test} --predictions {out}/predictions-{run}.jsonl
        --suites {out}/hidden --output {out}/score-{run}""",
        outputs=(options.output / f"score-{run}",),
    )


if __name__ == "__main__":
    run_program(main)
