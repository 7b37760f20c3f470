"""The executor: statements in, executions or verdicts out."""

import os
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from slmsql.errors import InputError
from slmsql.execution.database import check
from slmsql.execution.job import Batch, Job, Place, Sql
from slmsql.execution.memory import Memory
from slmsql.execution.pool import Pool
from slmsql.execution.process import INFRASTRUCTURE
from slmsql.execution.types import Execution, Limits, Pair, Statement, Verdict
from slmsql.match import Match, as_executed

T = TypeVar("T")
CHUNK = 64  # statements or pairs in one request at most


class Executor:
    """Runs statements in worker processes, each within its limits.

    Long-lived: the workers keep databases open and results in memory. Calls from several threads
    are fine; after a fork the child gets workers of its own.

    Args:
        workers: processes; by default one for each processor this process may use, shared with
            the other ranks of a training on this machine.
        limits: what each statement may use.
        cache: folder for gold results, shared by any number of processes and runs.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        cache: Path | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"{workers} workers cannot run anything; expected 1 or more, or None")
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)  # an unusable folder shows here, not later
        self.workers = workers or _processors()
        self.limits = limits
        self.cache = cache
        self._start()

    def __enter__(self) -> "Executor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. Nothing runs afterwards."""
        self._finalizer()

    def run(self, statements: Sequence[Statement], *, preview: int = 0) -> list[Execution]:
        """Run statements, each distinct one once; the executions come in the same order.

        Args:
            statements: any SQL, also none; a bad statement is an `Execution` with a status.
            preview: how many rows to bring along.

        Raises:
            FileNotFoundError, InputError: a database is missing or is none; nothing has run.
        """
        places = _places(statement.database for statement in statements)
        keys = [(places[str(s.database)], s.sql) for s in statements]
        known = {key: self._memory.execution(*key, preview) for key in dict.fromkeys(keys)}
        new = [key for key, execution in known.items() if execution is None]
        batch = Batch()
        jobs = [
            Job(batch, place, part, preview=preview)
            for place, sql in _by_database(new).items()
            for part in _parts(sql, self._chunk(len(new)))
        ]
        self._live().finish(batch, jobs)
        for place, text in new:
            self._memory.keep_execution(place, text, preview, batch.executions[place, text])
        return [known[key] or batch.executions[key] for key in keys]

    def judge(self, pairs: Sequence[Pair], *, match: Match) -> list[Verdict]:
        """Decide for each pair whether the prediction has the result of the gold query.

        Raises:
            FileNotFoundError, InputError: a database is missing or is none; nothing has run.
        """
        match = Match(match)  # a plain "spider" would be another object
        places = _places(pair.database for pair in pairs)
        run_as = _run_as((text for pair in pairs for text in (pair.predicted, pair.gold)), match)
        keys = [(places[str(p.database)], run_as[p.predicted], run_as[p.gold]) for p in pairs]
        known = {key: self._memory.verdict(*key, match) for key in dict.fromkeys(keys)}
        new = [key for key, verdict in known.items() if verdict is None]
        batch = Batch()
        jobs = [
            _judging(batch, place, part, match)
            for place, distinct in _by_gold(new).items()
            for part in _parts(distinct, self._chunk(len(new)))
        ]
        self._live().finish(batch, jobs)
        for (place, text), execution in batch.executions.items():
            self._memory.keep_execution(place, text, 0, execution)
        for place, predicted, gold in new:
            known[place, predicted, gold] = self._settle(batch, place, predicted, gold, match)
        return [verdict for verdict in map(known.get, keys) if verdict is not None]

    def _settle(
        self, batch: Batch, place: Place, predicted: Sql, gold: Sql, match: Match
    ) -> Verdict:
        mine, theirs = batch.executions[place, predicted], batch.executions[place, gold]
        verdict = _verdict(batch.verdicts[place, predicted, gold], mine, theirs)
        if not mine.volatile and not theirs.volatile and mine.kind != INFRASTRUCTURE:
            self._memory.keep_verdict(place, predicted, gold, match, verdict)
        return verdict

    def _chunk(self, count: int) -> int:
        return max(1, min(CHUNK, count // (2 * self.workers) + 1))

    def _start(self) -> None:
        self._process = os.getpid()
        self._memory = Memory()
        self._pool = Pool(self.workers, self.limits, self.cache)
        # Also when nobody says close(): once nobody holds the executor, or at the very end.
        self._finalizer = weakref.finalize(self, self._pool.close)

    def _live(self) -> Pool:
        if self._process != os.getpid():  # forked: the workers are the parent's
            self._pool.forsake()
            self._start()
        return self._pool


def _processors() -> int:
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by torchrun and accelerate
    return max(1, len(os.sched_getaffinity(0)) // max(1, ranks))


def _places(databases: Iterable[Path]) -> dict[str, Place]:
    return {
        str(path): Place(os.path.abspath(path), check(path)) for path in dict.fromkeys(databases)
    }


def _run_as(texts: Iterable[Sql], match: Match) -> dict[Sql, Sql]:
    return {text: text and as_executed(text, match) for text in dict.fromkeys(texts)}


def _by_database(keys: list[tuple[Place, Sql]]) -> dict[Place, list[Sql]]:
    grouped: dict[Place, list[Sql]] = {}
    for place, sql in keys:
        grouped.setdefault(place, []).append(sql)
    return grouped


def _by_gold(keys: list[tuple[Place, Sql, Sql]]) -> dict[Place, list[tuple[Sql, Sql]]]:
    """The pairs of each database, those with the same gold together."""
    grouped: dict[Place, dict[Sql, list[Sql]]] = {}
    for place, predicted, gold in keys:
        grouped.setdefault(place, {}).setdefault(gold, []).append(predicted)
    return {
        place: [(predicted, gold) for gold, many in golds.items() for predicted in many]
        for place, golds in grouped.items()
    }


def _judging(batch: Batch, place: Place, pairs: list[tuple[Sql, Sql]], match: Match) -> Job:
    sql = list(dict.fromkeys(text for pair in pairs for text in pair))
    position = {text: index for index, text in enumerate(sql)}
    positions = [(position[predicted], position[gold]) for predicted, gold in pairs]
    return Job(batch, place, sql, positions, match)


def _parts(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _verdict(correct: bool | None, mine: Execution, theirs: Execution) -> Verdict:
    reason = None
    if not theirs.ok:
        correct, reason = None, f"the gold query did not run: {theirs.error}"
    elif mine.kind == INFRASTRUCTURE:
        correct, reason = None, f"the prediction could not be run: {mine.error}"
    elif correct is None:
        reason = "the results are too large to be compared"
    return Verdict(correct, mine, theirs, reason)
