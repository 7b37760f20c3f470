"""Makes the suites of many gold queries, on all processors; what is made already is kept.

for made in make_suites(questions, Path("suites"), seed=1, workers=2): ...
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import Executor, Limits, Statement
from slmsql.files import Record, read_json_object, write_json
from slmsql.match import Match
from slmsql.questions.question import Question
from slmsql.suites.neighbours.building import Trial, try_neighbours
from slmsql.suites.neighbours.folder import SUITE, suite_folder
from slmsql.suites.neighbours.profile import Profile
from slmsql.suites.neighbours.reading import read_profile

# Most refusals on such databases were unjust: docs/coincidences_fresh_databases.md.
NO_KEY = "the database declares no key; --without_keys true makes suites that often err"
STEPS = 2_000_000  # instructions of a query on a neighbour, while suites are made


@dataclass(frozen=True, slots=True)
class Task:
    """A gold query whose suite is to be made."""

    database: Path
    gold: str
    folder: Path
    """Of all suites."""
    seed: int
    evidence: str = ""
    """What the benchmark says beside the questions with this gold query."""
    without_keys: bool = False
    """Whether to make it even if the database declares no key."""


def make_suites(
    questions: Sequence[Question],
    folder: Path,
    *,
    seed: int,
    workers: int,
    without_keys: bool = False,
) -> Iterator[Record]:
    """Make the suite of each gold query once; yields what `suite.json` says of it.

    A gold query without a suite has `left_out` with the reason. If the program is killed, the same
    call goes on with the gold queries that have no `suite.json` yet. The same seed gives the same
    neighbours.
    """
    tasks = _tasks(questions, folder, seed, without_keys)
    done = {task: file for task in tasks if (file := _file(task)).is_file()}
    yield from map(read_json_object, done.values())
    waiting = [task for task in tasks if task not in done]
    with ProcessPoolExecutor(max_workers=workers) as pool:
        for future in as_completed([pool.submit(make_suite, task) for task in waiting]):
            yield future.result()


def _tasks(
    questions: Sequence[Question], folder: Path, seed: int, without_keys: bool
) -> list[Task]:
    evidence: dict[tuple[Path, str], list[str]] = {}
    for question in questions:
        if question.gold_sql:
            key = question.database, question.gold_sql
            evidence.setdefault(key, []).append(question.evidence)
    return [
        Task(database, gold, folder, seed, "\n".join(texts), without_keys)
        for (database, gold), texts in evidence.items()
    ]


def make_suite(task: Task) -> Record:
    """Make one suite. Its folder appears complete, or not at all."""
    final = _file(task).parent
    final.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
    try:
        record = _make(task, work)
        for path in work.iterdir():
            if path.name not in (*record["neighbours"], SUITE):
                path.unlink()
        shutil.rmtree(final, ignore_errors=True)
        work.chmod(0o755)  # mkdtemp's 0700 would hide it from others
        os.replace(work, final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return record


def _make(task: Task, work: Path) -> Record:
    """Write neighbours and `suite.json` to a folder; returns the latter."""
    record: Record = {"database": task.database.stem, "gold_sql": task.gold, "seed": task.seed}
    try:
        profile = profile_of(task.database)
        if not (profile.declares_key or task.without_keys):
            raise InputError(NO_KEY)
        trial = try_neighbours(
            task.gold, profile, process_executor(), work, evidence=task.evidence, seed=task.seed
        )
        chosen = trial.chosen()
        record |= _figures(trial, chosen) if chosen else _left_out(_why_not(task, trial, work))
    except InputError as error:
        record |= _left_out(str(error))
    write_json(work / SUITE, record)
    return record


def _left_out(reason: str) -> Record:
    return {"neighbours": [], "left_out": reason}


def _why_not(task: Task, trial: Trial, work: Path) -> str:
    """Why no neighbour can judge the gold query."""
    if trial.killed:
        return "the gold query has no rows on any neighbour, and neither has a near miss"
    paths = sorted(work.glob("*.sqlite"))
    if not paths:
        return "every neighbour is larger than 2 MB"
    execution = process_executor().run([Statement(paths[0], task.gold)])[0]
    if not execution.ok:
        return f"the gold query does not run: {execution.error}"
    return "the gold result depends on the time, on chance or on the order of stored rows"


def _figures(trial: Trial, chosen: Sequence[Path]) -> Record:
    killed = set().union(*(trial.killed[path] for path in chosen))
    counts = Counter(mode for _, mode in killed)
    return {
        "neighbours": [path.name for path in chosen],
        "tried": len(trial.killed),
        "gold_rows": [trial.rows[path] for path in chosen],
        "mutants": len(trial.mutants),
        "killed": {mode.value: counts[mode] for mode in (Match.BIRD, Match.STRICT)},
        "not_killed": [
            {"kind": mutant.kind, "sql": mutant.sql}
            for index, mutant in enumerate(trial.mutants)
            if (index, Match.STRICT) not in killed
        ],
    }


def card(records: Iterable[Record], options: Record) -> Record:
    """The sum of all suites: how many near misses they tell from the gold queries."""
    records = list(records)
    made = [record for record in records if record["neighbours"]]
    reasons = Counter(record["left_out"] for record in records if not record["neighbours"])
    count = sum(len(record["neighbours"]) for record in made)
    return {
        "gold_queries": len(records),
        "suites": len(made),
        "left_out": dict(reasons.most_common()),
        "neighbours": count,
        "neighbours_per_suite": round(count / len(made), 2) if made else 0.0,
        "gold_always_empty": sum(not any(record["gold_rows"]) for record in made),
        "mutants": sum(record["mutants"] for record in made),
        "killed": {
            mode.value: sum(record["killed"][mode.value] for record in made)
            for mode in (Match.BIRD, Match.STRICT)
        },
        "not_killed_by_kind": dict(
            Counter(
                mutant["kind"] for record in made for mutant in record["not_killed"]
            ).most_common()
        ),
        "options": options,
    }


def _file(task: Task) -> Path:
    return suite_folder(task.folder, task.database, task.gold) / SUITE


@lru_cache(maxsize=8)
def profile_of(database: Path) -> Profile:
    """The profile of a database, which is read once for its many gold queries."""
    return read_profile(database)


@lru_cache(maxsize=1)
def process_executor() -> Executor:
    """One worker for each process that makes suites: while it runs SQL, the process waits."""
    return Executor(workers=1, limits=Limits(steps=STEPS, rows=20_000))
