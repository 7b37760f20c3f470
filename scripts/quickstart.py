"""The whole chain on a tiny model: SFT, GRPO, merge model, corrective self-consistency, scores.

    python scripts/quickstart.py --output quickstart

Makes its own databases, questions, tokenizer and model, and runs this repository's programs one
after the other; each command is shown, so that it can be copied for a real model. A second call
reuses the stages that are done. Logs of the stages lie in OUTPUT/logs.
"""

import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from scripts.demo.stages import stages
from scripts.stage import ROOT, Done, run_chain
from slmsql.cli.config import parse
from slmsql.errors import run_program
from slmsql.files import read_json, write_json


@dataclass(frozen=True, slots=True)
class Options:
    output: Path = field(default=Path("quickstart"), metadata={"help": "folder for everything"})
    seed: int = field(default=1, metadata={"help": "everything follows from it"})
    size: Literal["full", "smallest"] = field(
        default="full", metadata={"help": "smallest: only to see that everything fits together"}
    )


def main() -> None:
    options = parse(Options, about=__doc__)
    output = _from_root(options.output)
    print(f"commands are run in {ROOT}; logs are in {output}/logs")
    done = run_chain(stages(output, options.size, options.seed), ROOT / output)
    _finish(output, options, done)


def _finish(output: Path, options: Options, done: list[Done]) -> None:
    """The table and the page; quick, so always made anew."""
    print()
    _python("scripts/demo/scores.py", "--folder", str(output))
    report = ROOT / output / "report.json"
    content = read_json(report) | {
        "seed": options.seed,
        "size": options.size,
        "seconds": round(sum(one.seconds for one in done)),
        "cpu_seconds": round(sum(one.cpu_seconds for one in done)),
        "stages": [asdict(one) for one in done],
    }
    write_json(report, content)
    evaluations = output / "evaluation"
    _python(
        *("scripts/report.py", "--stages", str(output / "stages.json")),
        "--curves",
        f"SFT={output / 'sft' / 'trainer_state.json'}",
        f"GRPO={output / 'grpo' / 'trainer_state.json'}",
        f"merge model, SFT={output / 'merge_sft' / 'trainer_state.json'}",
        f"merge model, GRPO={output / 'merge_grpo' / 'trainer_state.json'}",
        "--runs",
        f"SFT, greedy={evaluations / 'sft_greedy'}",
        f"corrective self-consistency={evaluations / 'corrective'}",
        *("--output", str(output / "report.html")),
    )
    print(f"{content['seconds']} s in all stages, {content['cpu_seconds']} s of processor time")


def _python(*words: str) -> None:
    status = subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


def _from_root(path: Path) -> Path:
    """Short where the folder lies in the checkout, so that the shown commands are short."""
    whole = Path(os.path.abspath(path))
    return whole.relative_to(ROOT) if whole.is_relative_to(ROOT) else whole


if __name__ == "__main__":
    run_program(main)
