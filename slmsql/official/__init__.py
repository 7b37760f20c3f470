"""The official scripts, run from the user's own checkout: what ours is measured against.

BIRD's `evaluation_ex.py`, `evaluation_f1.py` and `evaluation_ves.py` (github.com/bird-bench/
mini_dev), and the evaluators of Spider (github.com/taoyds/test-suite-sql-eval). Nothing of them is
in this repository.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.execution import Pair
from slmsql.files import Record
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


class Measure(StrEnum):
    """An official metric beside EX; the value is what the runner calls it."""

    SOFT_F1 = "soft-f1"
    R_VES = "r-ves"
    EXACT_SET = "exact-set"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an official script says of one task; `value` is None where it failed itself."""

    value: Any
    error: str | None = None

    @property
    def correct(self) -> bool | None:
        """The verdict of an evaluator."""
        return None if self.value is None else bool(self.value)


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
    tasks = [pair_task(pair) for pair in pairs]
    words = [evaluator, str(checkout), f"--processes={processes}"]
    return _run(words, tasks, python)


def measure_officially(
    measure: Measure,
    checkout: Path,
    tasks: Sequence[Record],
    *,
    tables: Path | None = None,
    processes: int = 2,
    python: str = sys.executable,
) -> tuple[list[Answer], float]:
    """A metric of each task, in their order, and the seconds the script took.

    Args:
        tasks: as `pair_task` gives them; for `EXACT_SET` with `db_id` too; for `R_VES` instead
            `ratios`, gold time by predicted time as measured again and again.
        tables: Spider's tables.json, for `EXACT_SET`.

    Raises:
        InputError: as for `judge_officially`.
    """
    words = [measure, str(checkout), f"--processes={processes}"]
    return _run([*words, f"--tables={tables}"] if tables else words, tasks, python)


def pair_task(pair: Pair) -> Record:
    """A pair as the runner takes it."""
    return {
        "database": str(pair.database),
        "predicted": pair.predicted or " ",
        "gold": pair.gold,
    }


def _run(words: Sequence[str], tasks: Sequence[Record], python: str) -> tuple[list[Answer], float]:
    done = subprocess.run(
        [python, str(RUNNER), *words],
        input="\n".join(map(json.dumps, tasks)),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise InputError(f"the {words[0]} evaluator failed: {done.stderr.strip()[-400:]}")
    answers = [Answer(**json.loads(line)) for line in done.stdout.splitlines()]
    return answers, float(json.loads(done.stderr.splitlines()[-1])["seconds"])
