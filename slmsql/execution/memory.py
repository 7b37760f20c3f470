"""What an executor has answered before, so that two rewards on one completion cost one run."""

import threading
from typing import TypeVar

from slmsql.execution.job import Place, Sql
from slmsql.execution.process import INFRASTRUCTURE
from slmsql.execution.types import Execution, Verdict
from slmsql.match import Match

ENTRIES = 50_000  # of each kind; the oldest quarter goes when there are more

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memory:
    """Executions and verdicts of one process, without those that chance or the time decide."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executions: dict[tuple[Place, Sql, int], Execution] = {}
        self._verdicts: dict[tuple[Place, Sql, Sql, Match], Verdict] = {}

    def execution(self, place: Place, sql: Sql, preview: int) -> Execution | None:
        return self._executions.get((place, sql, preview))

    def verdict(self, place: Place, predicted: Sql, gold: Sql, match: Match) -> Verdict | None:
        return self._verdicts.get((place, predicted, gold, match))

    def keep_execution(self, place: Place, sql: Sql, preview: int, execution: Execution) -> None:
        if not execution.volatile and execution.kind != INFRASTRUCTURE:
            with self._lock:
                _keep(self._executions, (place, sql, preview), execution)

    def keep_verdict(
        self, place: Place, predicted: Sql, gold: Sql, match: Match, verdict: Verdict
    ) -> None:
        with self._lock:
            _keep(self._verdicts, (place, predicted, gold, match), verdict)


def _keep(known: dict[Key, Value], key: Key, value: Value) -> None:
    if len(known) >= ENTRIES:
        for old in list(known)[: ENTRIES // 4]:
            del known[old]
    known[key] = value
