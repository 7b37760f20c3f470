"""Run an official script on many tasks, in a process and an environment of its own.

    python runner.py bird ~/mini_dev < pairs.jsonl > answers.jsonl              # EX
    python runner.py soft-f1 ~/mini_dev < pairs.jsonl > answers.jsonl
    python runner.py r-ves ~/mini_dev < ratios.jsonl > answers.jsonl
    python runner.py test-suite ~/test-suite-sql-eval < pairs.jsonl > answers.jsonl   # EX
    python runner.py exact-set ~/test-suite-sql-eval < pairs.jsonl > answers.jsonl

An input line has `database`, `predicted` and `gold`. For exact-set it also has `db_id`, the
database's name in `--tables`; for r-ves it has only `ratios`. An output line has `value` (null if
the script itself failed) and `error`. The last line on standard error is the time that the script
took, in seconds, without starting, reading and copying.

The scripts write to the databases (a predicted DELETE is carried out), so they work on copies.

This file imports nothing of this repository, so that another interpreter can run it: BIRD's scripts
need `func_timeout` and numpy, Spider's need `sqlparse`, `tqdm` and `nltk`.
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
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

Task = dict[str, Any]
Options = argparse.Namespace
Answer = tuple[Any, str | None]

FILES = {
    "bird": "evaluation_ex.py",
    "soft-f1": "evaluation_f1.py",
    "r-ves": "evaluation_ves.py",
    "test-suite": "exec_eval.py",
    "exact-set": "evaluation.py",
}


def main() -> None:
    options = _options()
    folder = _folder(options.checkout, FILES[options.evaluator])
    sys.path.insert(0, str(folder))
    tasks = [json.loads(line) for line in sys.stdin]
    work = {
        "bird": _by_bird,
        "soft-f1": _by_soft_f1,
        "r-ves": _by_r_ves,
        "test-suite": _by_test_suite,
        "exact-set": _by_exact_set,
    }[options.evaluator]
    with tempfile.TemporaryDirectory() as copies, contextlib.redirect_stdout(sys.stderr):
        answers, seconds = work(_on_copies(tasks, Path(copies)), options)
    for value, error in answers:
        print(json.dumps({"value": value, "error": error}))
    print(json.dumps({"seconds": seconds}), file=sys.stderr)


def _options() -> Options:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("evaluator", choices=sorted(FILES))
    parser.add_argument("checkout", type=Path, help="your copy of the official repository")
    parser.add_argument("--tables", type=Path, help="Spider's tables.json, for exact-set")
    parser.add_argument(
        "--processes", type=int, default=2, help="processes that judge (default: 2)"
    )
    return parser.parse_args()


def _folder(checkout: Path, name: str) -> Path:
    scripts = sorted(checkout.rglob(name), key=lambda path: len(path.parts))
    if not scripts:
        sys.exit(f"error: no {name} in {checkout}; is it a checkout of the evaluator?")
    return scripts[0].parent.absolute()


def _on_copies(tasks: list[Task], folder: Path) -> list[Task]:
    """The tasks on copies; each has its own folder, because an evaluator reads all files in it."""
    copies: dict[str, str] = {}
    for database in dict.fromkeys(task["database"] for task in tasks if "database" in task):
        copy = folder / str(len(copies)) / Path(database).name
        copy.parent.mkdir()
        shutil.copyfile(database, copy)
        copies[database] = str(copy)
    return [
        {**task, "database": copies[task["database"]]} if "database" in task else task
        for task in tasks
    ]


def _by_bird(tasks: list[Task], options: Options) -> tuple[list[Answer], float]:
    values, seconds = _by_running_bird("evaluation_ex", tasks, options)
    return [(None if value is None else bool(value), None) for value in values], seconds


def _by_soft_f1(tasks: list[Task], options: Options) -> tuple[list[Answer], float]:
    values, seconds = _by_running_bird("evaluation_f1", tasks, options)
    return [(value, None) for value in values], seconds


def _by_running_bird(name: str, tasks: list[Task], options: Options) -> tuple[list[Any], float]:
    evaluation = _bird_module(name)
    evaluation.exec_result = []  # a global that the script's __main__ creates
    started = time.perf_counter()
    evaluation.run_sqls_parallel(
        [(task["predicted"], task["gold"]) for task in tasks],
        [task["database"] for task in tasks],
        num_cpus=options.processes,
        meta_time_out=30.0,
    )
    seconds = time.perf_counter() - started
    by_position = {result["sql_idx"]: result["res"] for result in evaluation.exec_result}
    return [by_position.get(n) for n in range(len(tasks))], seconds


def _bird_module(name: str) -> Any:
    for module in ("psycopg2", "pymysql"):  # the script imports them; SQLite needs neither
        sys.modules[module] = types.ModuleType(module)
    return import_module(name)


def _by_r_ves(tasks: list[Task], options: Options) -> tuple[list[Answer], float]:
    """The script's reward for given ratios: they are put in the place of what it would measure."""
    evaluation = _bird_module("evaluation_ves")
    started = time.perf_counter()
    answers = [_reward_of(evaluation, task["ratios"]) for task in tasks]
    return answers, time.perf_counter() - started


def _reward_of(evaluation: Any, ratios: list[float]) -> Answer:
    # The script times the prediction, then gold, and divides. Only results are fetched untimed.
    times = iter([time for ratio in ratios for time in (1.0, ratio)])
    evaluation.execute_sql = lambda *_, return_time=False: next(times) if return_time else []
    try:
        return evaluation.iterated_execute_sql("", "", "", len(ratios), "SQLite"), None
    except ZeroDivisionError as error:  # the script has dropped all measurements
        return None, f"ZeroDivisionError: {error}"


def _by_exact_set(tasks: list[Task], options: Options) -> tuple[list[Answer], float]:
    _tokenise_without_data()
    evaluation: Any = import_module("evaluation")
    foreign_keys = evaluation.build_foreign_key_map_from_json(str(options.tables))
    started = time.perf_counter()
    answers = [_exact_set_of(evaluation, task, foreign_keys[task["db_id"]]) for task in tasks]
    return answers, time.perf_counter() - started


def _tokenise_without_data() -> None:
    """If nltk's data for splitting sentences is missing, take each query as one sentence."""
    process_sql: Any = import_module("process_sql")
    try:
        process_sql.word_tokenize("SELECT 1")
    except LookupError:
        print("nltk has no punkt data here: each query is taken as one sentence")
        process_sql.word_tokenize = partial(process_sql.word_tokenize, preserve_line=True)


def _exact_set_of(evaluation: Any, task: Task, foreign_keys: dict[str, str]) -> Answer:
    """The steps of the script's `evaluate` for one pair, without reading the SQL from a file."""
    evaluator = evaluation.Evaluator()
    schema = evaluation.Schema(evaluation.get_schema(task["database"]))
    gold = evaluation.get_sql(schema, task["gold"])
    level = evaluator.eval_hardness(gold)
    try:
        predicted = evaluation.get_sql(schema, task["predicted"].replace("value", "1"))
    except Exception as error:  # the script then takes the prediction as an empty query
        return {"exact": False, "level": level}, f"{type(error).__name__}: {error}"
    rebuilt = []
    for query in (predicted, gold):
        columns = evaluation.build_valid_col_units(query["from"]["table_units"], schema)
        query = evaluation.rebuild_sql_val(query)
        rebuilt.append(evaluation.rebuild_sql_col(columns, query, foreign_keys))
    return {"exact": bool(evaluator.eval_exact_match(*rebuilt)), "level": level}, None


def _by_test_suite(tasks: list[Task], options: Options) -> tuple[list[Answer], float]:
    os.chdir(sys.path[0])  # the script writes into its own folder
    evaluate: Callable[..., int] = import_module("exec_eval").eval_exec_match
    started = time.perf_counter()
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        answers = pool.starmap(_by_exec_eval, [(evaluate, task) for task in tasks], chunksize=16)
    return answers, time.perf_counter() - started


def _by_exec_eval(evaluate: Callable[..., int], task: Task) -> Answer:
    # The official evaluation.py does this to each prediction before it calls eval_exec_match.
    predicted = task["predicted"].replace("value", "1")
    try:
        verdict = evaluate(
            db=task["database"],
            p_str=predicted,
            g_str=task["gold"],
            plug_value=False,
            keep_distinct=False,
            progress_bar_for_each_datapoint=False,
        )
    except Exception as error:  # any error of the script means "no verdict"
        return None, f"{type(error).__name__}: {error}"
    return bool(verdict), None


if __name__ == "__main__":
    main()
