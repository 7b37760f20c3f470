"""The report page of a whole chain: its stages, its curves, its first and its last predictions."""

import sys
from pathlib import Path

from slmsql.cli.programs import ROOT, run

TRAININGS = {
    "SFT": "sft",
    "GRPO": "grpo",
    "merge model, SFT": "merge_sft",
    "merge model, GRPO": "merge_grpo",
}


LAST = {"corrective": "corrective self-consistency", "sft_vote": "self-consistency of SFT"}


def write_page(folder: Path, last: str = "corrective") -> None:
    """Write report.html of a finished quickstart or speedrun, with the trainings that it has.

    Args:
        folder: of the chain.
        last: the evaluation of its last predictions.

    Raises:
        SystemExit: report.py failed; it has printed why.
    """
    states = {
        name: folder / run_name / "trainer_state.json" for name, run_name in TRAININGS.items()
    }
    curves = [f"{name}={state}" for name, state in states.items() if (ROOT / state).is_file()]
    command = (
        *("python", "scripts/report.py", "--stages", f"{folder}/stages.json"),
        *("--curves", *curves),
        *("--runs", f"SFT, greedy={folder}/evaluation/sft_greedy"),
        f"{LAST[last]}={folder}/evaluation/{last}",
        *("--output", f"{folder}/report.html"),
    )
    if status := run(command, cwd=ROOT):
        sys.exit(status)
