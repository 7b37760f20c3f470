"""The whole chain on a tiny model: SFT, GRPO, merge model, corrective self-consistency, scores.

    python scripts/quickstart.py --output quickstart

Makes its own databases, questions, tokenizer and model, then runs the programs of this repository
one after the other (scripts/demo/stages.py lists the commands). Each command is printed, so you can
copy it for a real model. A second call runs only what is not done yet. OUTPUT/logs holds the output
of each stage, OUTPUT/report.html the results.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from scripts.demo.page import write_page
from scripts.demo.stages import stages
from scripts.stage import Mark, run_chain
from slmsql.cli.config import parse
from slmsql.cli.programs import ROOT, run
from slmsql.errors import run_program
from slmsql.files import read_json, write_json


@dataclass(frozen=True, slots=True)
class Options:
    output: Path = field(default=Path("quickstart"), metadata={"help": "folder for all files"})
    seed: int = field(default=1, metadata={"help": "of the data, the weights and the samples"})
    size: Literal["full", "smallest"] = field(
        default="full", metadata={"help": "smallest: only shows that the programs fit together"}
    )


def main() -> None:
    options = parse(Options, about=__doc__)
    output = _short(options.output)
    print(f"commands are run in {ROOT}; logs are in {output}/logs")
    marks = run_chain(stages(output, options.size, options.seed), ROOT / output)
    _write_report(output, options, marks)


def _write_report(output: Path, options: Options, marks: Sequence[Mark]) -> None:
    """The table, report.json and report.html: quick to make, so they are made at every call."""
    if status := run(("python", "scripts/demo/scores.py", "--folder", str(output)), cwd=ROOT):
        sys.exit(status)
    report = ROOT / output / "report.json"
    content = read_json(report) | {
        "seed": options.seed,
        "size": options.size,
        "seconds": round(sum(mark.seconds for mark in marks)),
        "cpu_seconds": round(sum(mark.cpu_seconds for mark in marks)),
        "stages": [asdict(mark) for mark in marks],
    }
    write_json(report, content)
    write_page(output)
    print(f"{content['seconds']} s in all stages, {content['cpu_seconds']} s of processor time")


def _short(path: Path) -> Path:
    """The path from the repository's root if it lies in it: the printed commands are shorter."""
    absolute = Path(os.path.abspath(path))
    return absolute.relative_to(ROOT) if absolute.is_relative_to(ROOT) else absolute


if __name__ == "__main__":
    run_program(main)
