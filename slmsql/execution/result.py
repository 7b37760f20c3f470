"""How a statement ended, with all its rows; and what every engine checks in the same way."""

from functools import cached_property
from typing import Any, Protocol

from slmsql.execution.authorizer import COMMANDS
from slmsql.execution.digest import digest, digest_in
from slmsql.execution.types import Limits, Row, Status
from slmsql.match import Match
from slmsql.sql.tokens import first_word

CHUNK = 512  # values to fetch at once, so that a result over the limit is noticed early
VALUE = 16  # bytes counted for each value, besides its text


class Result:
    """How a statement ended, with all its rows, for comparisons. It stays in the worker."""

    def __init__(
        self,
        status: Status,
        error: str | None = None,
        kind: str | None = None,
        columns: tuple[str, ...] = (),
        rows: list[Row] | None = None,
        steps: int = 0,
        volatile: bool = False,
        size: int = 0,
    ) -> None:
        self.status = status
        self.error = error
        self.kind = kind
        self.columns = columns
        self.rows: list[Row] = rows or []
        self.steps = steps
        self.volatile = volatile
        self.size = size

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    @cached_property
    def row_set(self) -> frozenset[Row]:
        return frozenset(self.rows)

    @cached_property
    def digest(self) -> str | None:
        """The hash of the set of rows, for mode `bird`; None unless ok."""
        return digest(self.row_set) if self.ok else None

    def digest_for(self, match: Match) -> str | None:
        """The hash of the result in a mode; None unless ok."""
        if match is Match.BIRD or not self.ok:
            return self.digest
        return digest_in(match, self.rows, len(self.columns))


class Overflow(Exception):
    """A result exceeds a limit; the argument is the name of the limit."""

    def result(self, limits: Limits, steps: int = 0) -> Result:
        """How the statement ended."""
        message = f"more than {getattr(limits, str(self))} {self} in the result"
        return Result(Status.TOO_LARGE, message, str(self), steps=steps)


class Sandbox(Protocol):
    """A database opened so that any SQL can be run on it safely. Used inside a worker process."""

    def execute(self, sql: str | None) -> Result:
        """Run one statement. Bad SQL does not raise.

        Raises:
            MemoryError: the engine or Python ran out of memory.
        """

    def close(self) -> None:
        """Close the database."""


class Cursor(Protocol):
    """The part of a cursor of Python's database interface that results are read from."""

    def fetchmany(self, size: int, /) -> list[Any]: ...


def refusal(sql: str | None, limits: Limits) -> Result | None:
    """The result of a statement that the engine need not see; None if it may run."""
    if sql is None or not sql.strip():
        return Result(Status.ERROR, "there is no SQL", "empty")
    if len(sql) > limits.sql_bytes:
        message = f"a statement of {len(sql)} characters, more than {limits.sql_bytes}"
        return Result(Status.REFUSED, message, "sql_bytes")
    if "\0" in sql:
        return Result(Status.ERROR, "a NUL character in the statement", "syntax")
    word = first_word(sql)
    if word in COMMANDS:
        return Result(Status.REFUSED, f"{word} is not a query", COMMANDS[word])
    return None


def fetch(cursor: Cursor, width: int, limits: Limits) -> tuple[list[Row], int]:
    """All rows and their size in bytes.

    Raises:
        Overflow: there are too many rows or bytes; the rest is not fetched.
    """
    chunk = max(1, CHUNK // width)
    rows: list[Row] = []
    size = 0
    while True:
        part = cursor.fetchmany(chunk)
        rows += part
        size += VALUE * width * len(part) + sum(
            [len(v) for row in part for v in row if type(v) is str or type(v) is bytes]
        )
        if len(rows) > limits.rows:
            raise Overflow("rows")
        if size > limits.bytes:
            raise Overflow("bytes")
        if len(part) < chunk:
            return rows, size
