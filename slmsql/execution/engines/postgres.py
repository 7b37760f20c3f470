"""PostgreSQL: connections that may only read, our own queries, and a sandbox for any SQL.

What keeps a statement from doing more than reading: it is one query (the extended protocol takes no
two), sent in a transaction that is read-only and rolled back. Functions with side effects are
refused by name, from the server's own catalog. A superuser gives up its rights for
`pg_read_all_data` first, so that the server refuses what we might overlook.
"""

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slmsql.errors import InputError
from slmsql.execution.database import UnusableDatabase
from slmsql.execution.engines.address import ServerAddress
from slmsql.execution.engines.names import ForbiddenNames, mentions
from slmsql.execution.engines.server_sandbox import (
    GRACE,
    Lost,
    ServerSandbox,
    Silent,
    Unreachable,
)
from slmsql.execution.engines.values import PlainCursor, plain_row
from slmsql.execution.result import Result, fetch
from slmsql.execution.types import INFRASTRUCTURE, Query, Status

if TYPE_CHECKING:
    import psycopg

OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "search_path")  # of a URL
CONNECT_SECONDS = 10
OWN_SECONDS = 30.0  # for each of our own queries
LOCK_SECONDS = 3.0  # a statement waits so long for a table that another session locks
STREAMED = 100  # rows that the driver fetches at once
SETTINGS = """
SET default_transaction_read_only = on; SET statement_timeout = {milliseconds};
SET lock_timeout = {lock}; SET idle_in_transaction_session_timeout = {idle};
SET client_connection_check_interval = 1000; SET max_parallel_workers_per_gather = 0; SET jit = off;
SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres';
SET bytea_output = 'hex'; SET xmlbinary = 'base64'
"""
# Types whose text means what Python's value means; all others stay as PostgreSQL writes them.
CONVERTED = ("bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric", "bytea")
HARMLESS = """
    array_sample array_shuffle bernoulli system current_query
    pg_typeof pg_column_size pg_size_pretty pg_size_bytes
"""
CLOCKS = "now current_date current_time current_timestamp localtime localtimestamp age"
RANDOM = """
    random random_normal gen_random_uuid uuidv4 uuidv7 clock_timestamp timeofday
    statement_timestamp transaction_timestamp
"""
VOLATILE = frozenset(f"{RANDOM} {CLOCKS}".split())
ALLOWED = frozenset(f"{RANDOM} {HARMLESS}".split())
# Volatile functions of PostgreSQL and of extensions, those that run SQL given as text, and those
# that look into the server: its settings, sessions, files and transaction numbers.
FUNCTIONS = r"""
SELECT DISTINCT proname FROM pg_proc p
WHERE (provolatile = 'v' AND (pronamespace = 'pg_catalog'::regnamespace OR EXISTS (
          SELECT 1 FROM pg_depend WHERE objid = p.oid AND deptype = 'e')))
   OR proname LIKE '%\_to\_xml%' OR proname LIKE 'lo\_%' OR proname LIKE 'dblink%'
   OR proname LIKE 'crosstab%' OR proname IN ('connectby', 'xpath_table', 'current_setting')
   OR (proname LIKE ANY (ARRAY['pg\_%', 'txid\_%', 'inet\_server\_%'])
       AND pronamespace = 'pg_catalog'::regnamespace)
"""
TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace
UNION ALL VALUES ('information_schema'), ('pg_toast')
UNION ALL SELECT proname FROM pg_proc  -- called as `row.name`, without parentheses
WHERE provolatile = 'v' AND pronargs = 1
  AND proargtypes[0] IN ('"any"'::regtype, 'record'::regtype, 'anyelement'::regtype)
"""
WAITING_IS_VAIN = ("authentication failed", "no password", "does not exist", "pg_hba", "invalid")
# The class of an error, by its SQLSTATE.
KINDS = {
    "42P01": "no such table",
    "3F000": "no such table",
    "42703": "no such column",
    "42702": "ambiguous",
    "42712": "ambiguous",
    "42725": "function",
    "42883": "function",
    "42803": "aggregate",
    "42P20": "aggregate",
    "42601": "syntax",
    "42804": "type",
    "42846": "type",
    "42P18": "type",
    "22P02": "type",
    "22007": "type",
    "22008": "type",
    "22003": "overflow",
    "42P10": "columns",
    "54001": "limit",
    "55P03": INFRASTRUCTURE,  # another session locks the table
}
KINDS_BY_CLASS = {"53": INFRASTRUCTURE, "58": INFRASTRUCTURE, "54": "limit", "XX": "crash"}
OTHER_ENDS = {
    "57014": (Status.TIMEOUT, "seconds"),
    "25006": (Status.REFUSED, "write"),
    "42501": (Status.REFUSED, "forbidden"),
    "53200": (Status.TOO_LARGE, "memory"),
    "53400": (Status.TOO_LARGE, "memory"),  # temp_file_limit
}


def connect(address: ServerAddress, seconds: float) -> "psycopg.Connection[Any]":
    """Open a connection that may only read; a superuser gives up its rights.

    Args:
        seconds: time limit of a statement, by the server's clock.

    Raises:
        Unreachable: there is no connection.
    """
    import psycopg

    try:
        connection = psycopg.connect(**_where(address), autocommit=True)
        _restrict(connection, address, seconds)
    except psycopg.Error as error:
        message = str(error)
        is_final = any(part in message for part in WAITING_IS_VAIN)
        is_missing = f'database "{address.database}" does not exist' in message
        raise Unreachable(
            f"PostgreSQL: {message}", is_final=is_final, is_missing=is_missing
        ) from None
    return connection


def _where(address: ServerAddress) -> dict[str, Any]:
    """What `psycopg.connect` needs to find the database."""
    options = {name: v for name, v in address.options.items() if name != "search_path"}
    return {
        "host": address.host or None,
        "port": address.port,
        "user": address.user or None,
        "dbname": address.database,
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "slmsql",
        **options,
    }


def _restrict(
    connection: "psycopg.Connection[Any]", address: ServerAddress, seconds: float
) -> None:
    settings = SETTINGS.format(
        milliseconds=max(1, int(seconds * 1000)),
        lock=int(LOCK_SECONDS * 1000),
        idle=int(2000 * seconds),
    )
    connection.execute(settings.encode())
    if path := address.options.get("search_path"):
        connection.execute("SELECT set_config('search_path', %s, false)", (path,))
    is_superuser = connection.execute("SHOW is_superuser").fetchone() == ("on",)
    if is_superuser:
        connection.execute("SET temp_file_limit = '1GB'; SET ROLE pg_read_all_data")
    _keep_texts(connection)


def _keep_texts(connection: "psycopg.Connection[Any]") -> None:
    """Load dates, arrays and so on as the text that PostgreSQL writes."""
    from psycopg.types.string import TextLoader

    for kind in connection.adapters.types:
        if kind.name not in CONVERTED:
            connection.adapters.register_loader(kind.oid, TextLoader)
        if kind.array_oid:
            connection.adapters.register_loader(kind.array_oid, TextLoader)


@contextmanager
def reading(address: ServerAddress) -> Iterator[Query]:
    """A function that runs our own queries and returns all their rows.

    Raises:
        InputError: the server cannot be reached, or a query fails.
    """
    import psycopg

    try:
        connection = connect(address, OWN_SECONDS)
    except Unreachable as error:
        raise UnusableDatabase(error.reason, str(error)) from error
    try:
        with connection:
            yield lambda sql: [plain_row(row) for row in connection.execute(sql.encode())]
    except psycopg.Error as error:
        message = " ".join(str(error).split())
        raise UnusableDatabase("unreadable database", f"PostgreSQL: {message}") from error


@contextmanager
def creating(address: ServerAddress) -> Iterator["NewPostgres"]:
    """A new database, in one transaction; dropped again if the `with` block fails.

    Raises:
        InputError: the database exists, or the user may not create one.
    """
    import psycopg
    from psycopg import sql

    name = sql.Identifier(address.database)
    try:
        with _maintenance(address) as server:
            server.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'").format(
                    name
                )
            )
            try:
                with psycopg.connect(**_where(address)) as connection:
                    yield NewPostgres(connection)
            except BaseException:
                server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
                raise
    except psycopg.Error as error:
        raise InputError(f"{address.database}: {' '.join(str(error).split())}") from error


def _maintenance(address: ServerAddress) -> "psycopg.Connection[Any]":
    import psycopg

    return psycopg.connect(**{**_where(address), "dbname": "postgres"}, autocommit=True)


class NewPostgres:
    """A new database that a copy is written to."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.connection = connection

    def execute(self, statement: str) -> None:
        """Run a statement of ours."""
        self.connection.execute(statement.encode())

    def insert(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows."""
        self.connection.cursor().executemany(statement.encode(), rows)


class _Stream:
    """The rows of a query as they arrive. The protocol lets it be one query only.

    The driver's own `Cursor.stream` does not tell the columns of an empty result.

    Args:
        silence: seconds after which a server that says nothing is given up.

    Raises:
        psycopg.Error: the query failed.
        Silent: the server says nothing.
    """

    def __init__(self, connection: "psycopg.Connection[Any]", sql: str, silence: float) -> None:
        from psycopg.adapt import Transformer

        self._connection = connection.pgconn
        self._transformer = Transformer(connection)
        self._rows: list[Any] = []
        self._silence = int(silence * 1000)
        self._socket = select.poll()
        self._socket.register(self._connection.socket, select.POLLIN)
        self._connection.send_query_params(sql.encode(), None)
        self._connection.set_chunked_rows_mode(STREAMED)
        self.columns = self._next()

    def fetchmany(self, size: int) -> list[Any]:
        """The next rows; all in one go may be up to `STREAMED` more."""
        while len(self._rows) < size and self._next() is not None:
            pass
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    def _next(self) -> tuple[str, ...] | None:
        """Receive more rows; returns the names of their columns, None if there are no more."""
        from psycopg.errors import error_from_result
        from psycopg.pq import ExecStatus

        while self._connection.is_busy():
            if not self._socket.poll(self._silence):
                raise Silent
            self._connection.consume_input()
        result = self._connection.get_result()
        if result is None:
            return None
        if result.status == ExecStatus.FATAL_ERROR:
            while self._connection.get_result() is not None:
                pass
            raise error_from_result(result)
        if result.ntuples:
            self._transformer.set_pgresult(result)
            self._rows += self._transformer.load_rows(0, result.ntuples, tuple)
        return tuple((result.fname(n) or b"").decode() for n in range(result.nfields))


class PostgresSandbox(ServerSandbox):
    """A PostgreSQL database opened so that any SQL can be run on it safely."""

    connection: "psycopg.Connection[Any]"

    def connect(self) -> ForbiddenNames:
        self.connection = connect(self.address, self.limits.seconds)
        return ForbiddenNames(self._names(FUNCTIONS) - ALLOWED, self._names(TABLES))

    def disconnect(self) -> None:
        self.connection.close()

    def run(self, sql: str) -> Result:
        import psycopg

        if 'u&"' in sql.lower():
            return Result(Status.REFUSED, 'names written as U&"..."', "forbidden")
        self._command(b"BEGIN READ ONLY")
        try:
            result = self._fetch(sql)
        except psycopg.Error as error:
            result = self._failure(error)
        self._command(b"ROLLBACK")
        return result

    def _fetch(self, sql: str) -> Result:
        stream = _Stream(self.connection, sql, self.limits.seconds + GRACE)
        if not stream.columns:
            return Result(Status.ERROR, "the result has no columns", "columns")
        plain = PlainCursor(stream.fetchmany, self.limits)
        rows, size = fetch(plain, len(stream.columns), self.limits)
        volatile = mentions(sql, VOLATILE)
        return Result(Status.OK, columns=stream.columns, rows=rows, volatile=volatile, size=size)

    def _command(self, command: bytes) -> None:
        """Run a command without a result, by the driver's quickest way."""
        from psycopg.pq import ExecStatus

        done = self.connection.pgconn.exec_(command)
        if done.status != ExecStatus.COMMAND_OK:
            raise Lost(" ".join(done.get_error_message().split()))

    def _failure(self, error: "psycopg.Error") -> Result:
        state = error.sqlstate or ""
        message = str(error).partition("\n")[0]
        if self.connection.closed or state[:2] == "08" or state[:4] == "57P0":
            raise Lost(message)
        if "out of memory" in message and not state:  # in the driver: a row of a gigabyte
            self.close()
            raise MemoryError
        if "multiple commands" in message:
            return Result(Status.REFUSED, message, "several statements")
        if state in OTHER_ENDS:
            status, kind = OTHER_ENDS[state]
            return Result(status, message, kind)
        if state == "42883" and message.startswith("operator"):
            return Result(Status.ERROR, message, "type")
        kind = KINDS.get(state) or KINDS_BY_CLASS.get(state[:2], "other")
        return Result(Status.ERROR, message, kind)

    def _names(self, query: str) -> frozenset[str]:
        return frozenset(name.lower() for (name,) in self.connection.execute(query.encode()))
