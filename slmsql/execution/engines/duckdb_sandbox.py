"""A DuckDB file opened so that any SQL can be run on it safely. Used inside a worker process.

The file is read-only, DuckDB has no access to other files or the network, and its configuration is
locked. Only single queries run. The kernel ends the process after `Limits.seconds` of processor
time, as for SQLite: DuckDB runs in the worker, on one thread.
"""

import importlib
from typing import TYPE_CHECKING

from slmsql.execution.engines.duckdb_file import connect
from slmsql.execution.engines.names import ForbiddenNames, mentions
from slmsql.execution.engines.timer import uncounted
from slmsql.execution.engines.values import PlainCursor
from slmsql.execution.result import Overflow, Result, fetch, refusal
from slmsql.execution.types import INFRASTRUCTURE, Limits, Status

if TYPE_CHECKING:
    import duckdb

# Table functions that read nothing but their arguments. All others are refused: they read files,
# list settings or run SQL given as text.
HARMLESS = frozenset({"generate_series", "range", "unnest", "json_each", "json_tree", "repeat_row"})
RANDOM = frozenset({"random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7"})
CLOCKS = """
    now today age current_date current_time current_timestamp get_current_time localtime
    get_current_timestamp localtimestamp transaction_timestamp
"""
VOLATILE = RANDOM | frozenset(CLOCKS.split())
# A name that also belongs to a function without side effects stays allowed.
FUNCTIONS = """
SELECT function_name FROM duckdb_functions() GROUP BY function_name
HAVING bool_and(function_type IN ('table', 'pragma', 'table_macro') OR stability = 'VOLATILE')
UNION ALL SELECT 'current_setting'
"""
TABLES = """
SELECT view_name FROM duckdb_views() WHERE internal AND schema_name <> 'information_schema'
UNION ALL SELECT 'information_schema'
"""
# The class of an error, by DuckDB's name for it and by a part of its message.
KINDS: tuple[tuple[str, str, str], ...] = (
    ("ParserException", "", "syntax"),
    ("CatalogException", "Table with name", "no such table"),
    ("CatalogException", "Function with name", "function"),
    ("BinderException", "not found in FROM", "no such column"),
    ("BinderException", "does not have a column named", "no such column"),
    ("BinderException", "Referenced table", "no such column"),
    ("BinderException", "Ambiguous reference", "ambiguous"),
    ("BinderException", "GROUP BY", "aggregate"),
    ("BinderException", "aggregate", "aggregate"),
    ("BinderException", "same number of result columns", "columns"),
    ("BinderException", "out of range", "columns"),
    ("BinderException", "function call", "type"),
    ("BinderException", "Cannot compare values", "type"),
    ("ConversionException", "", "type"),
    ("OutOfRangeException", "", "overflow"),
    ("IOException", "Could not set lock", INFRASTRUCTURE),  # another program writes to the file
    ("IOException", "", "database"),
    ("SerializationException", "", "database"),
    ("InternalException", "", "crash"),
    ("FatalException", "", "crash"),
)


class DuckDBSandbox:
    """A read-only connection without access to anything else, and limits on sizes."""

    def __init__(self, path: str, limits: Limits) -> None:
        with uncounted():
            importlib.import_module("duckdb")
        self.path = path
        self.limits = limits
        self.connection: duckdb.DuckDBPyConnection | None = None
        self.forbidden = ForbiddenNames(frozenset(), frozenset())

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def execute(self, sql: str | None) -> Result:
        """Run one statement. Bad SQL does not raise.

        Raises:
            MemoryError: DuckDB or Python ran out of memory.
        """
        import duckdb

        if (refused := refusal(sql, self.limits)) is not None:
            return refused
        assert sql is not None  # otherwise it was refused
        try:
            connection = self.connection or self._open()
            if (found := self.forbidden.found(sql)) is not None:
                return Result(Status.REFUSED, f"{found[0]} may not be used", found[1])
            return self._run(connection, sql)
        except Overflow as limit:
            return limit.result(self.limits)
        except duckdb.OutOfMemoryException as error:
            raise MemoryError from error
        except duckdb.FatalException as error:  # the connection is of no use any more
            self.close()
            return _failure(error)
        except duckdb.Error as error:
            return _failure(error)
        except UnicodeError as error:
            return Result(Status.ERROR, f"not Unicode: {error}", "encoding")

    def _open(self) -> "duckdb.DuckDBPyConnection":
        with uncounted():
            connection = connect(self.path, self.limits.memory)
            functions = _names(connection, FUNCTIONS) - HARMLESS - RANDOM
            self.forbidden = ForbiddenNames(functions, _names(connection, TABLES))
        self.connection = connection
        return connection

    def _run(self, connection: "duckdb.DuckDBPyConnection", sql: str) -> Result:
        sql.encode()  # for a lone surrogate, the driver raises TypeError instead of UnicodeError
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            kind = "several statements" if statements else "not a query"
            return Result(Status.REFUSED, f"{len(statements)} statements", kind)
        kind = statements[0].type.name
        if kind != "SELECT":
            return Result(Status.REFUSED, f"{kind} is not a query", "not a query")
        cursor = connection.execute(statements[0])
        columns = tuple(column[0] for column in cursor.description or ())
        plain = PlainCursor(cursor.fetchmany, self.limits)
        rows, size = fetch(plain, len(columns), self.limits)
        volatile = mentions(sql, VOLATILE)
        return Result(Status.OK, columns=columns, rows=rows, volatile=volatile, size=size)


def _names(connection: "duckdb.DuckDBPyConnection", query: str) -> frozenset[str]:
    return frozenset(name.lower() for (name,) in connection.execute(query).fetchall())


def _failure(error: "duckdb.Error") -> Result:
    name, message = type(error).__name__, str(error)
    first_line = message.partition("\n")[0]
    for exception, part, kind in KINDS:
        if name == exception and part in message:
            return Result(Status.ERROR, first_line, kind)
    return Result(Status.ERROR, first_line, "other")
