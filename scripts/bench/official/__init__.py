"""The official evaluators, run from the user's own checkouts, to compare ours with.

    answers, seconds = judge_officially(Evaluator.BIRD, Path("mini_dev"), pairs)

In: (prediction, gold) pairs and a checkout. Out: what the official script says of each. The scripts
are BIRD's `evaluation_ex.py`, `evaluation_f1.py` and `evaluation_ves.py` (github.com/bird-bench/
mini_dev) and Spider's evaluators (github.com/taoyds/test-suite-sql-eval); this repository contains
nothing of them.
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
    """An official evaluator; the value is its name in runner.py."""

    BIRD = "bird"
    TEST_SUITE = "test-suite"

    @property
    def match(self) -> Match:
        """Our match mode that gives the same verdicts."""
        return Match.BIRD if self is Evaluator.BIRD else Match.SPIDER


class Measure(StrEnum):
    """An official metric other than EX; the value is its name in runner.py."""

    SOFT_F1 = "soft-f1"
    R_VES = "r-ves"
    EXACT_SET = "exact-set"


@dataclass(frozen=True, slots=True)
class OfficialAnswer:
    """What an official script says of one task; `value` is None if the script itself failed."""

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
) -> tuple[list[OfficialAnswer], float]:
    """Let an official evaluator judge pairs.

    It works on copies of the databases, because it carries out predictions that write.

    Args:
        evaluator: which one.
        checkout: folder of the user's copy of the official repository.
        pairs: what to judge.
        processes: number of processes that judge.
        python: an interpreter with the packages that the evaluator needs.

    Returns:
        The verdicts in the order of the pairs, and the seconds the evaluator took.

    Raises:
        InputError: the folder is not a checkout, or a package is missing; the message ends with
            the end of the evaluator's own output.
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
) -> tuple[list[OfficialAnswer], float]:
    """Let an official script compute a metric of each task.

    Args:
        measure: which metric.
        checkout: as for `judge_officially`.
        tasks: from `pair_task`; for `EXACT_SET` also with `db_id`. For `R_VES` only `ratios`: gold
            time divided by predicted time, of each repetition.
        tables: Spider's tables.json, for `EXACT_SET`.
        processes: as for `judge_officially`.
        python: as for `judge_officially`.

    Returns:
        The answers in the order of the tasks, and the seconds the script took.

    Raises:
        InputError: as for `judge_officially`.
    """
    words = [measure, str(checkout), f"--processes={processes}"]
    return _run([*words, f"--tables={tables}"] if tables else words, tasks, python)


def pair_task(pair: Pair) -> Record:
    """A pair in the form that runner.py reads."""
    return {
        "database": str(pair.database),
        "predicted": pair.predicted or " ",
        "gold": pair.gold,
    }


def _run(
    words: Sequence[str], tasks: Sequence[Record], python: str
) -> tuple[list[OfficialAnswer], float]:
    done = subprocess.run(
        [python, str(RUNNER), *words],
        input="\n".join(map(json.dumps, tasks)),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise InputError(f"the {words[0]} evaluator failed: {done.stderr.strip()[-400:]}")
    answers = [OfficialAnswer(**json.loads(line)) for line in done.stdout.splitlines()]
    return answers, float(json.loads(done.stderr.splitlines()[-1])["seconds"])
