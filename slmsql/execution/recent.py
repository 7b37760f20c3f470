"""The executor's recent answers: two rewards on one completion run its SQL only once."""

import threading
from typing import TypeVar

from slmsql.execution.job import DatabaseState, Sql
from slmsql.execution.types import INFRASTRUCTURE, Execution, Verdict
from slmsql.match import Match

ENTRIES = 50_000  # executions, and as many verdicts; a full table drops its oldest quarter

Key = TypeVar("Key")
Value = TypeVar("Value")


class RecentAnswers:
    """Executions and verdicts of this process that would be the same if run again.

    Several threads may use it at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executions: dict[tuple[DatabaseState, Sql, int, Match], Execution] = {}
        self._verdicts: dict[tuple[DatabaseState, Sql, Sql, Match], Verdict] = {}

    def execution(
        self, database: DatabaseState, sql: Sql, preview: int, digest: Match
    ) -> Execution | None:
        return self._executions.get((database, sql, preview, digest))

    def verdict(
        self, database: DatabaseState, predicted: Sql, gold: Sql, match: Match
    ) -> Verdict | None:
        return self._verdicts.get((database, predicted, gold, match))

    def add_execution(
        self, database: DatabaseState, sql: Sql, preview: int, digest: Match, execution: Execution
    ) -> None:
        if not execution.volatile and execution.kind != INFRASTRUCTURE:
            with self._lock:
                _add(self._executions, (database, sql, preview, digest), execution)

    def add_verdict(
        self, database: DatabaseState, predicted: Sql, gold: Sql, match: Match, verdict: Verdict
    ) -> None:
        executions = (verdict.predicted, verdict.gold)
        if verdict.predicted.kind != INFRASTRUCTURE and not any(e.volatile for e in executions):
            with self._lock:
                _add(self._verdicts, (database, predicted, gold, match), verdict)


def _add(table: dict[Key, Value], key: Key, value: Value) -> None:
    if len(table) >= ENTRIES:
        for old in list(table)[: ENTRIES // 4]:
            del table[old]
    table[key] = value
