"""The executor: statements in, executions or verdicts out."""

import os
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from slmsql.errors import InputError
from slmsql.execution.job import Batch, DatabaseState, Job, Sql
from slmsql.execution.locating import locate
from slmsql.execution.pool import Pool
from slmsql.execution.recent import RecentAnswers
from slmsql.execution.types import INFRASTRUCTURE, Execution, Limits, Pair, Statement, Verdict
from slmsql.match import Match, as_executed

T = TypeVar("T")
CHUNK = 64  # statements or pairs in one request, at most


class Executor:
    """Runs statements in worker processes, each within its limits.

    An executor is meant to live long: its workers keep databases open and results in memory.
    Several threads may call it at once. After a fork, the child gets workers of its own.

    Args:
        workers: number of processes. By default one for each processor that this process may use,
            divided by the number of training ranks on this machine.
        limits: what each statement may use.
        cache: folder for gold results, which any number of processes and runs may share.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        cache: Path | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"workers must be 1 or more, or None; got {workers}")
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)  # an unusable folder fails now, not later
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
        """End the workers. The executor cannot be used afterwards."""
        self._finalizer()

    def run(
        self, statements: Sequence[Statement], *, preview: int = 0, match: Match = Match.BIRD
    ) -> list[Execution]:
        """Run statements, each distinct one once.

        Args:
            statements: any SQL, or none. Bad SQL does not raise: its execution has a status.
            preview: number of rows to return of each result.
            match: the mode in which statements run (`spider` removes DISTINCT) and digests agree.

        Returns:
            The executions, in the order of the statements.

        Raises:
            FileNotFoundError, InputError: a file is missing or is not a database; nothing has run.
        """
        states = _database_states(statement.database for statement in statements)
        run_as = _run_as((statement.sql for statement in statements), match)
        keys = [(states[str(s.database)], run_as[s.sql]) for s in statements]
        answers = {key: self._recent.execution(*key, preview, match) for key in dict.fromkeys(keys)}
        new = [key for key, execution in answers.items() if execution is None]
        batch = Batch()
        jobs = [
            Job(batch, database, part, preview=preview, digest=match)
            for database, sql in _by_database(new).items()
            for part in _parts(sql, self._chunk(len(new)))
        ]
        self._live_pool().finish(batch, jobs)
        for database, text in new:
            execution = batch.executions[database, text]
            self._recent.add_execution(database, text, preview, match, execution)
        return [answers[key] or batch.executions[key] for key in keys]

    def judge(self, pairs: Sequence[Pair], *, match: Match, soft_f1: bool = False) -> list[Verdict]:
        """Decide for each pair whether the prediction has the result of the gold query.

        Args:
            pairs: predictions and gold queries.
            match: when two results agree.
            soft_f1: also compute Soft-F1, in the workers, so that no complete result leaves them.

        Returns:
            The verdicts, in the order of the pairs.

        Raises:
            FileNotFoundError, InputError: a file is missing or is not a database; nothing has run.
        """
        match = Match(match)  # a caller may pass "spider" as a plain string
        states = _database_states(pair.database for pair in pairs)
        run_as = _run_as((text for pair in pairs for text in (pair.predicted, pair.gold)), match)
        keys = [(states[str(p.database)], run_as[p.predicted], run_as[p.gold]) for p in pairs]
        answers = {
            key: None if soft_f1 else self._recent.verdict(*key, match)
            for key in dict.fromkeys(keys)
        }
        new = [key for key, verdict in answers.items() if verdict is None]
        batch = Batch()
        jobs = [
            _judging(batch, database, part, match, soft_f1)
            for database, distinct in _by_gold(new).items()
            for part in _parts(distinct, self._chunk(len(new)))
        ]
        self._live_pool().finish(batch, jobs)
        for (database, text), execution in batch.executions.items():
            self._recent.add_execution(database, text, 0, Match.BIRD, execution)
        for key in new:
            answers[key] = verdict = _verdict(batch, *key)
            self._recent.add_verdict(*key, match, verdict)
        return [verdict for verdict in map(answers.get, keys) if verdict is not None]

    def _chunk(self, count: int) -> int:
        return max(1, min(CHUNK, count // (2 * self.workers) + 1))

    def _start(self) -> None:
        self._process = os.getpid()
        self._recent = RecentAnswers()
        self._pool = Pool(self.workers, self.limits, self.cache)
        # Ends the workers if nobody calls close(): when the executor is collected, or at exit.
        self._finalizer = weakref.finalize(self, self._pool.close)

    def _live_pool(self) -> Pool:
        if self._process != os.getpid():  # we are a forked child: the workers are the parent's
            self._pool.forsake()
            self._start()
        return self._pool


def _processors() -> int:
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by torchrun and accelerate
    return max(1, len(os.sched_getaffinity(0)) // max(1, ranks))


def _database_states(databases: Iterable[Path]) -> dict[str, DatabaseState]:
    return {str(path): DatabaseState(*locate(path)) for path in dict.fromkeys(databases)}


def _run_as(texts: Iterable[Sql], match: Match) -> dict[Sql, Sql]:
    """By text: the statement that is run for it in this mode."""
    return {text: text and as_executed(text, match) for text in dict.fromkeys(texts)}


def _by_database(keys: list[tuple[DatabaseState, Sql]]) -> dict[DatabaseState, list[Sql]]:
    grouped: dict[DatabaseState, list[Sql]] = {}
    for database, sql in keys:
        grouped.setdefault(database, []).append(sql)
    return grouped


def _by_gold(
    keys: list[tuple[DatabaseState, Sql, Sql]],
) -> dict[DatabaseState, list[tuple[Sql, Sql]]]:
    """The pairs of each database; those with the same gold query stand together."""
    grouped: dict[DatabaseState, dict[Sql, list[Sql]]] = {}
    for database, predicted, gold in keys:
        grouped.setdefault(database, {}).setdefault(gold, []).append(predicted)
    return {
        database: [(predicted, gold) for gold, many in golds.items() for predicted in many]
        for database, golds in grouped.items()
    }


def _judging(
    batch: Batch,
    database: DatabaseState,
    pairs: list[tuple[Sql, Sql]],
    match: Match,
    soft_f1: bool,
) -> Job:
    sql = list(dict.fromkeys(text for pair in pairs for text in pair))
    position = {text: index for index, text in enumerate(sql)}
    positions = [(position[predicted], position[gold]) for predicted, gold in pairs]
    return Job(batch, database, sql, positions, match, soft_f1=soft_f1)


def _parts(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _verdict(batch: Batch, database: DatabaseState, predicted_sql: Sql, gold_sql: Sql) -> Verdict:
    predicted = batch.executions[database, predicted_sql]
    gold = batch.executions[database, gold_sql]
    correct = batch.verdicts[database, predicted_sql, gold_sql]
    reason = None
    if not gold.ok:
        correct, reason = None, f"the gold query did not run: {gold.error}"
    elif predicted.kind == INFRASTRUCTURE:
        correct, reason = None, f"the prediction could not be run: {predicted.error}"
    elif correct is None:
        reason = "the results are too large to be compared"
    soft_f1 = batch.soft_f1.get((database, predicted_sql, gold_sql))
    return Verdict(correct, predicted, gold, reason, soft_f1)
