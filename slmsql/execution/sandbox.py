"""A database opened so that any SQL can be run on it safely. Used inside a worker process."""

import contextlib
import sqlite3
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from slmsql.execution.authorizer import COMMANDS, Authorizer, is_volatile
from slmsql.execution.database import open_immutable
from slmsql.execution.digest import digest, digest_in
from slmsql.execution.errors import classify
from slmsql.execution.types import Limits, Row, Status
from slmsql.match import Match
from slmsql.sql.quoting import quote_identifier
from slmsql.sql.tokens import first_word

STRIDE = 1000  # instructions between two calls of the progress handler
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


class Sandbox:
    """A connection with an allow-list, a budget of instructions and limits on sizes."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.limits = limits
        self.authorizer = Authorizer()
        self.ticks = 0
        self.connection = open_immutable(path)
        self._read_schema()
        self._set_limits()

    def close(self) -> None:
        self.connection.close()

    def execute(self, sql: str | None) -> Result:
        """Run one statement. Bad SQL does not raise.

        Raises:
            MemoryError: SQLite or Python ran out of memory.
        """
        if sql is None or not sql.strip():
            return Result(Status.ERROR, "there is no SQL", "empty")
        refusal = _refusal(sql, self.limits)
        if refusal is not None:
            return refusal
        self.authorizer.reset()
        self.ticks = 0
        try:
            return self._run(sql)
        except Overflow as limit:
            message = f"more than {getattr(self.limits, str(limit))} {limit} in the result"
            return Result(Status.TOO_LARGE, message, str(limit), steps=self.steps)
        except (sqlite3.Error, sqlite3.Warning) as error:
            return self._failure(str(error))
        except UnicodeError as error:  # a lone surrogate in the SQL, or names that are not UTF-8
            return Result(Status.ERROR, f"not Unicode: {error}", "encoding")

    @property
    def steps(self) -> int:
        return self.ticks * STRIDE

    def _read_schema(self) -> None:
        """Load the schema before any limit is set, so that it is not charged to a statement."""
        self.connection.execute("PRAGMA temp_store = MEMORY")
        virtual = "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
        names = [name for (name,) in self.connection.execute(virtual)]
        # A virtual table declares itself at its first use, which looks like CREATE TABLE.
        for name in ("json_each", "json_tree", *names):
            with contextlib.suppress(sqlite3.Error):  # its module may be missing
                self.connection.execute(f"SELECT * FROM {quote_identifier(name)}")

    def _set_limits(self) -> None:
        connection, limits = self.connection, self.limits
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.cell_bytes)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, limits.sql_bytes)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_VDBE_OP, 1_000_000)
        connection.set_authorizer(self.authorizer)
        connection.set_progress_handler(self._tick(), STRIDE)

    def _tick(self) -> Callable[[], bool]:
        budget = max(1, self.limits.steps // STRIDE)

        def tick() -> bool:
            self.ticks += 1
            return self.ticks > budget

        return tick

    def _run(self, sql: str) -> Result:
        try:
            return self._fetch(sql)
        except sqlite3.OperationalError as error:
            if not str(error).startswith("Could not decode to UTF-8"):
                raise
        # Rare, and slower: text that is not UTF-8 is compared byte by byte.
        self.connection.text_factory = _surrogates
        self.ticks = 0
        try:
            return self._fetch(sql)
        finally:
            self.connection.text_factory = str

    def _fetch(self, sql: str) -> Result:
        cursor = self.connection.execute(sql)
        try:
            if cursor.description is None:
                return Result(Status.REFUSED, "not a query: it has no result", "not a query")
            columns = tuple(column[0] for column in cursor.description)
            rows, size = _rows(cursor, len(columns), self.limits)
        finally:
            cursor.close()
        volatile = (
            is_volatile(sql, self.authorizer.functions) if self.authorizer.functions else False
        )
        return Result(
            Status.OK,
            columns=columns,
            rows=rows,
            steps=self.steps,
            volatile=volatile,
            size=size,
        )

    def _failure(self, message: str) -> Result:
        status, kind = classify(message)
        if self.authorizer.refused is not None:
            status, kind = Status.REFUSED, self.authorizer.refused
        elif status is Status.TIMEOUT:
            message = f"more than {self.limits.steps} steps"
        volatile = is_volatile("", self.authorizer.functions)
        return Result(status, message, kind, steps=self.steps, volatile=volatile)


def _refusal(sql: str, limits: Limits) -> Result | None:
    """The result of a statement that SQLite need not see; None if it may run."""
    if len(sql) > limits.sql_bytes:
        message = f"a statement of {len(sql)} characters, more than {limits.sql_bytes}"
        return Result(Status.REFUSED, message, "sql_bytes")
    if "\0" in sql:
        return Result(Status.ERROR, "a NUL character in the statement", "syntax")
    word = first_word(sql)
    if word in COMMANDS:
        return Result(Status.REFUSED, f"{word} is not a query", COMMANDS[word])
    return None


def _rows(cursor: sqlite3.Cursor, width: int, limits: Limits) -> tuple[list[Row], int]:
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


def _surrogates(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
