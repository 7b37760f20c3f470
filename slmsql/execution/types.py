"""What goes into the executor, and what comes out."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

Row = tuple[Hashable, ...]
Query = Callable[[str], list[tuple[Any, ...]]]  # runs SQL of ours and returns all rows
INFRASTRUCTURE = "infrastructure"  # an `Execution.kind`: the machine failed, not the statement


class Status(StrEnum):
    """How a statement ended."""

    OK = "ok"
    """It ran; the result is complete."""
    ERROR = "error"
    """It is not a valid query on this database; `Execution.kind` says why."""
    TIMEOUT = "timeout"
    """It used up its steps or its processor time."""
    TOO_LARGE = "too_large"
    """Its result, one of its values or its memory is over the limit."""
    REFUSED = "refused"
    """It tries to do more than read tables: write, attach, pragma, schema tables and so on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may use. Use the same limits everywhere: verdicts depend on them.

    In all ordinary cases `steps` decides. It counts instructions of SQLite's virtual machine, so it
    is the same on every machine under every load.
    """

    steps: int = 500_000_000
    """Instructions of SQLite's virtual machine, counted in thousands."""
    seconds: float = 30.0
    """Processor time of the worker, for what takes long within few instructions: comparing huge
    texts, planning a huge join. The kernel ends the process."""
    rows: int = 500_000
    """Number of rows of a result."""
    bytes: int = 64 * 2**20
    """Size of a result: the lengths of its text and blobs, plus 16 for each value."""
    cell_bytes: int = 2 * 2**20
    """Size of one text or blob, intermediate values included (`zeroblob`, `group_concat` ...)."""
    memory: int = 512 * 2**20
    """Bytes that SQLite may hold in a worker; the whole process may map four times that."""
    sql_bytes: int = 100_000
    """Length of a statement, in characters."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement and the database to run it on."""

    database: Path
    sql: str | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction and the gold query to judge it by."""

    database: Path
    predicted: str | None
    gold: str | None


@dataclass(frozen=True, slots=True)
class Execution:
    """How a statement ended, with the first rows of its result."""

    status: Status
    error: str | None = None
    """SQLite's message or ours; None if ok."""
    kind: str | None = None
    """Class of the error: "syntax", "no such table", "no such column", "ambiguous", "function",
    "aggregate", "type", "columns", "empty" ..., or which limit: "steps", "seconds", "rows" ..."""
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    """The first rows, as many as were asked for: to show, never to compare."""
    row_count: int = 0
    digest: str | None = None
    """Hash of the result, by which votes are grouped: of the set of rows, with 1 equal to 1.0, or
    what another match mode compares if `Executor.run` was given one. None unless ok."""
    steps: int = 0
    """Instructions of SQLite's virtual machine, rounded down to thousands."""
    volatile: bool = False
    """It uses random numbers or the time, so another run may give another result."""

    @property
    def ok(self) -> bool:
        return self.status is Status.OK


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a prediction has the result of the gold query."""

    correct: bool | None
    """None if the prediction cannot be judged; `reason` says why."""
    predicted: Execution
    gold: Execution
    reason: str | None = None
    soft_f1: tuple[float, float] | None = None
    """Soft-F1 and BIRD's Soft-F1 of the two results, if `Executor.judge` was asked for them and
    both queries ran."""

    @property
    def machine_failed(self) -> bool:
        """Whether the machine failed and not a query: this is no verdict on the prediction."""
        return INFRASTRUCTURE in (self.predicted.kind, self.gold.kind)
