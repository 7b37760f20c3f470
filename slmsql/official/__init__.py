"""The official evaluators, run from the user's own checkout: what ours is measured against.

BIRD's `evaluation_ex.py` (github.com/bird-bench/mini_dev) and the test-suite evaluator of Spider
(github.com/taoyds/test-suite-sql-eval). Nothing of them is in this repository.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import Pair
from slmsql.match import Match

RUNNER = Path(__file__).parent / "runner.py"


class Evaluator(StrEnum):
    """An official evaluator; the value is what the runner calls it."""

    BIRD = "bird"
    TEST_SUITE = "test-suite"

    @property
    def match(self) -> Match:
        """The mode of ours that decides as it does."""
        return Match.BIRD if self is Evaluator.BIRD else Match.SPIDER


@dataclass(frozen=True, slots=True)
class Answer:
    """What an official evaluator says of a pair; `correct` is None where it failed itself."""

    correct: bool | None
    error: str | None = None


def judge_officially(
    evaluator: Evaluator,
    checkout: Path,
    pairs: Sequence[Pair],
    *,
    processes: int = 2,
    python: str = sys.executable,
) -> tuple[list[Answer], float]:
    """Verdicts in the order of the pairs, and the seconds the evaluator took for them.

    It works on copies of the databases, because it carries out whatever is predicted.

    Raises:
        InputError: the checkout is not one, or a package it needs is missing; the message is the
            last line of what it said.
    """
    lines = [
        json.dumps({"database": str(p.database), "predicted": p.predicted or " ", "gold": p.gold})
        for p in pairs
    ]
    done = subprocess.run(
        [python, str(RUNNER), evaluator, str(checkout), f"--processes={processes}"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise InputError(f"the {evaluator} evaluator failed: {done.stderr.strip()[-400:]}")
    answers = [Answer(**json.loads(line)) for line in done.stdout.splitlines()]
    return answers, float(json.loads(done.stderr.splitlines()[-1])["seconds"])
