"""What goes into the executor and what comes out."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

Row = tuple[Hashable, ...]


class Status(StrEnum):
    """How a statement ended."""

    OK = "ok"
    """It ran; the result is complete."""
    ERROR = "error"
    """It is no valid query on this database; `Execution.kind` says why."""
    TIMEOUT = "timeout"
    """It used up its steps, or its processor time within few of them."""
    TOO_LARGE = "too_large"
    """Its result, one of its values or the memory it needs is over the limit."""
    REFUSED = "refused"
    """It wants something else than to read tables: write, attach, pragma, schema tables ..."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may use. They are part of the verdict, so everybody should use the same.

    `steps` alone decides in all ordinary cases: it counts what SQLite's virtual machine executes
    and is therefore the same on every machine under every load.
    """

    steps: int = 500_000_000
    """Instructions of SQLite's virtual machine, counted in thousands."""
    seconds: float = 30.0
    """Processor time of the worker, for what happens inside few instructions: a comparison of
    huge texts, a plan that never gets done. The process is ended by the kernel."""
    rows: int = 500_000
    """Rows of a result."""
    bytes: int = 64 * 2**20
    """Size of a result: its text and blobs, and 16 for each value."""
    cell_bytes: int = 2 * 2**20
    """Size of one text or blob, also of intermediate ones (`zeroblob`, `group_concat` ...)."""
    memory: int = 512 * 2**20
    """Bytes that SQLite may hold in a worker; the process as a whole may map four times that."""
    sql_bytes: int = 100_000
    """Length of a statement."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement for one database."""

    database: Path
    sql: str | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction and the gold query that it is judged by."""

    database: Path
    predicted: str | None
    gold: str | None


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of a statement."""

    status: Status
    error: str | None = None
    """SQLite's or our message, None when ok."""
    kind: str | None = None
    """Class of the error: "syntax", "no such table", "no such column", "ambiguous", "function",
    "aggregate", "type", "columns", "empty" ..., or which limit: "steps", "seconds", "rows" ..."""
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    """The first rows, as many as asked for: to show, never to compare."""
    row_count: int = 0
    digest: str | None = None
    """Of the set of rows, with 1 equal to 1.0: what voting groups by. None unless ok."""
    steps: int = 0
    """Instructions of SQLite's virtual machine, rounded down to thousands."""
    volatile: bool = False
    """It asks for random numbers or the time: run again, it may give something else."""

    @property
    def ok(self) -> bool:
        return self.status is Status.OK


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a prediction has the result of the gold query."""

    correct: bool | None
    """None when nothing can be said of the prediction: `reason` tells why."""
    predicted: Execution
    gold: Execution
    reason: str | None = None
