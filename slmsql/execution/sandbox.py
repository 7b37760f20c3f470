"""An SQLite database opened so that any SQL can be run on it safely. Used inside a worker."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from slmsql.execution.authorizer import Authorizer, is_volatile
from slmsql.execution.database import open_immutable
from slmsql.execution.errors import classify
from slmsql.execution.result import Overflow, Result, fetch, refusal
from slmsql.execution.types import Limits, Status
from slmsql.sql.quoting import quote_identifier

STRIDE = 1000  # instructions between two calls of the progress handler


class SQLiteSandbox:
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
        if (refused := refusal(sql, self.limits)) is not None:
            return refused
        assert sql is not None  # otherwise it was refused
        self.authorizer.reset()
        self.ticks = 0
        try:
            return self._run(sql)
        except Overflow as limit:
            return limit.result(self.limits, self.steps)
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
            rows, size = fetch(cursor, len(columns), self.limits)
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


def _surrogates(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
