"""Lets an official evaluator judge pairs, in a process and an environment of its own.

    python runner.py bird ~/mini_dev < pairs.jsonl > verdicts.jsonl
    python runner.py test-suite ~/test-suite-sql-eval < pairs.jsonl > verdicts.jsonl

Each input line has `database`, `predicted` and `gold`; each output line `correct` (null where the
evaluator itself failed) and `error`. The last line on standard error is the time it took, in
seconds, reading, copying and starting not counted. The evaluators write to the databases (a
predicted DELETE is carried out), hence the copies.

It imports nothing of ours, so that another interpreter may run it: BIRD's evaluator wants
`func_timeout`, Spider's `sqlparse` and `tqdm`.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import types
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Pair = dict[str, str]
Answer = tuple[bool | None, str | None]

FILES = {"bird": "evaluation_ex.py", "test-suite": "exec_eval.py"}


def main() -> None:
    options = _options()
    folder = _folder(options.checkout, FILES[options.evaluator])
    sys.path.insert(0, str(folder))
    pairs = [json.loads(line) for line in sys.stdin]
    judge = {"bird": _by_bird, "test-suite": _by_test_suite}[options.evaluator]
    with tempfile.TemporaryDirectory() as copies, contextlib.redirect_stdout(sys.stderr):
        answers, seconds = judge(_on_copies(pairs, Path(copies)), options.processes)
    for correct, error in answers:
        print(json.dumps({"correct": correct, "error": error}))
    print(json.dumps({"seconds": seconds}), file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("evaluator", choices=sorted(FILES))
    parser.add_argument("checkout", type=Path, help="your copy of the official repository")
    parser.add_argument("--processes", type=int, default=2, help="how many judge (default: 2)")
    return parser.parse_args()


def _folder(checkout: Path, name: str) -> Path:
    found = sorted(checkout.rglob(name), key=lambda path: len(path.parts))
    if not found:
        sys.exit(f"error: no {name} in {checkout}; is it a checkout of the evaluator?")
    return found[0].parent.absolute()


def _on_copies(pairs: list[Pair], folder: Path) -> list[Pair]:
    """The same pairs on copies, each in a folder of its own: one evaluator reads all beside it."""
    copies: dict[str, str] = {}
    for database in dict.fromkeys(pair["database"] for pair in pairs):
        copy = folder / str(len(copies)) / Path(database).name
        copy.parent.mkdir()
        shutil.copyfile(database, copy)
        copies[database] = str(copy)
    return [{**pair, "database": copies[pair["database"]]} for pair in pairs]


def _by_bird(pairs: list[Pair], processes: int) -> tuple[list[Answer], float]:
    for module in ("psycopg2", "pymysql"):  # it imports them; SQLite needs neither
        sys.modules[module] = types.ModuleType(module)
    evaluation: Any = import_module("evaluation_ex")
    evaluation.exec_result = []  # its own __main__ makes this global
    started = time.perf_counter()
    evaluation.run_sqls_parallel(
        [(pair["predicted"], pair["gold"]) for pair in pairs],
        [pair["database"] for pair in pairs],
        num_cpus=processes,
        meta_time_out=30.0,
    )
    seconds = time.perf_counter() - started
    by_position = {result["sql_idx"]: bool(result["res"]) for result in evaluation.exec_result}
    return [(by_position.get(n), None) for n in range(len(pairs))], seconds


def _by_test_suite(pairs: list[Pair], processes: int) -> tuple[list[Answer], float]:
    os.chdir(sys.path[0])  # it writes below its own folder
    evaluate: Callable[..., int] = import_module("exec_eval").eval_exec_match
    started = time.perf_counter()
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        answers = pool.starmap(_one, [(evaluate, pair) for pair in pairs], chunksize=16)
    return answers, time.perf_counter() - started


def _one(evaluate: Callable[..., int], pair: Pair) -> Answer:
    # Its evaluation.py replaces this word in each prediction before it calls eval_exec_match.
    predicted = pair["predicted"].replace("value", "1")
    try:
        verdict = evaluate(
            db=pair["database"],
            p_str=predicted,
            g_str=pair["gold"],
            plug_value=False,
            keep_distinct=False,
            progress_bar_for_each_datapoint=False,
        )
    except Exception as error:  # whatever it raises is its answer: "cannot say"
        return None, f"{type(error).__name__}: {error}"
    return bool(verdict), None


if __name__ == "__main__":
    main()
