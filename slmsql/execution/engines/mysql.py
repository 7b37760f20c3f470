"""MySQL and MariaDB: connections that may only read, our own queries, and a sandbox for any SQL.

A statement is one query (the client never allows several), sent in a transaction that is read-only
and rolled back, with a time limit on the server. MySQL has no catalog of its functions, so those
with side effects stand in a list here. Files are read and written with the right FILE alone: a role
that may only select does not have it.
"""

import os
import re
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
from slmsql.sql.dialect import Dialect
from slmsql.sql.quoting import quote_identifier

if TYPE_CHECKING:
    import pymysql
    from pymysql.cursors import Cursor

OPTIONS = ("ssl_ca",)  # of a URL
CONNECT_SECONDS = 10
OWN_SECONDS = 30.0  # for each of our own queries
LOCK_SECONDS = 3  # a statement waits so long for a table that another session locks
# Columns that GROUP BY does not list are allowed, as older versions and MariaDB have it.
SETTINGS = (
    "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00',"
    f" lock_wait_timeout = {LOCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}"
)
FUNCTIONS = """
    sleep benchmark get_lock release_lock release_all_locks is_free_lock is_used_lock load_file
    master_pos_wait source_pos_wait master_gtid_wait wait_for_executed_gtid_set nextval setval
    wait_until_sql_thread_after_gtids sys_exec sys_eval sys_set sys_get lastval last_insert_id
    found_rows kdf
"""
FORBIDDEN = ForbiddenNames(
    frozenset(FUNCTIONS.split()),
    frozenset(("information_schema", "performance_schema", "outfile", "dumpfile")),
)
# Comments that are executed or set time limits, locks, and the schemas of the server itself.
GAP = r"(?: [`\s] | /\*.*?\*/ | (?:--|\#)[^\n]*\n )*+"
REFUSED = re.compile(
    rf"""
    /\* (?: M?! | \+ )
  | \b for {GAP} (?:update|share) \b
  | \b lock {GAP} in {GAP} share \b
  | \b (?:next|previous) {GAP} value {GAP} for \b
  | \b procedure {GAP} analyse \b
  | \b (?:mysql|sys) {GAP} \.
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
CLOCKS = """
    now current_date current_time current_timestamp localtime localtimestamp sysdate curdate curtime
    utc_date utc_time utc_timestamp unix_timestamp rand random_bytes uuid uuid_short connection_id
"""
VOLATILE = frozenset(CLOCKS.split())
WAITING_IS_VAIN = frozenset({1044, 1045, 1049, 1130, 1698, 2059})
UNKNOWN_DATABASE = 1049
SERVER_LOST = 2013
LOST = frozenset({0, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2014, 2055})
# How a statement ended, by MySQL's number of the error.
ENDS: dict[int, tuple[Status, str]] = {
    **dict.fromkeys((1064, 1149, 1248), (Status.ERROR, "syntax")),
    **dict.fromkeys((1146, 1051, 1109), (Status.ERROR, "no such table")),
    1054: (Status.ERROR, "no such column"),
    1052: (Status.ERROR, "ambiguous"),
    **dict.fromkeys((1305, 1370, 1582, 1583, 1630), (Status.ERROR, "function")),
    **dict.fromkeys((1055, 1111, 1140, 1056), (Status.ERROR, "aggregate")),
    **dict.fromkeys((1222, 1241, 1136), (Status.ERROR, "columns")),
    **dict.fromkeys((1292, 1366, 1411, 1367), (Status.ERROR, "type")),
    1690: (Status.ERROR, "overflow"),
    **dict.fromkeys((1317, 1969, 3024), (Status.TIMEOUT, "seconds")),
    **dict.fromkeys((1290, 1792, 1223, 1036), (Status.REFUSED, "write")),
    **dict.fromkeys((1044, 1142, 1143, 1227), (Status.REFUSED, "forbidden")),
    **dict.fromkeys((1037, 1038, 1041, 1104, 1114), (Status.TOO_LARGE, "memory")),
    **dict.fromkeys((1021, 1040, 1203, 1205, 1226, 1030), (Status.ERROR, INFRASTRUCTURE)),
}


def connect(address: ServerAddress, seconds: float) -> "pymysql.Connection[Cursor]":
    """Open a connection on which every transaction only reads.

    Args:
        seconds: time limit of a statement, by the server's clock.

    Raises:
        Unreachable: there is no connection.
    """
    import pymysql

    try:
        connection = _open(address, address.database, seconds + GRACE)
        with connection.cursor() as cursor:
            cursor.execute(SETTINGS)
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            if _is_mariadb(connection):
                cursor.execute(f"SET SESSION max_statement_time = {max(seconds, 0.001)}")
            else:
                cursor.execute(f"SET SESSION max_execution_time = {max(1, int(seconds * 1000))}")
    except (pymysql.Error, OSError) as error:
        number, message = _parts(error)
        raise Unreachable(
            f"MySQL: {message}",
            is_final=number in WAITING_IS_VAIN,
            is_missing=number == UNKNOWN_DATABASE,
        ) from None
    return connection


def _open(
    address: ServerAddress, database: str | None, silence: float | None = None
) -> "pymysql.Connection[Cursor]":
    """Connect; a server that says nothing for `silence` seconds is given up."""
    import pymysql

    is_socket = address.host.startswith("/")
    defaults = os.path.expanduser("~/.my.cnf")
    return pymysql.connect(
        host="localhost" if is_socket else address.host or "localhost",
        unix_socket=address.host if is_socket else None,
        port=address.port or 3306,
        user=address.user or None,
        password=os.environ.get("MYSQL_PWD", ""),
        read_default_file=defaults if os.path.exists(defaults) else None,
        database=database,
        charset="utf8mb4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=silence,
        ssl_ca=address.options.get("ssl_ca"),
        conv=_conversions(),
        autocommit=True,
    )


def _is_mariadb(connection: Any) -> bool:
    return "MariaDB" in connection.get_server_info()


def _conversions() -> dict[Any, Any]:
    """The driver's conversions, but dates and times stay text."""
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import conversions

    texts = (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE, FIELD_TYPE.TIME)
    kept = {kind: convert for kind, convert in conversions.items() if kind not in texts}
    moments = dict.fromkeys((FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP), _moment)
    return {**kept, **moments}


def _moment(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _parts(error: Exception) -> tuple[int, str]:
    """The number and the message of an error."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    message = str(error.args[-1]) if error.args else type(error).__name__
    return number, " ".join(message.split())


@contextmanager
def reading(address: ServerAddress) -> Iterator[Query]:
    """A function that runs our own queries and returns all their rows.

    Raises:
        InputError: the server cannot be reached, or a query fails.
    """
    import pymysql

    try:
        connection = connect(address, OWN_SECONDS)
    except Unreachable as error:
        raise UnusableDatabase(error.reason, str(error)) from error

    def query(sql: str) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return [plain_row(row) for row in cursor.fetchall()]

    try:
        with connection:
            yield query
    except pymysql.Error as error:
        raise UnusableDatabase("unreadable database", f"MySQL: {_parts(error)[1]}") from error


@contextmanager
def creating(address: ServerAddress) -> Iterator["NewMySQL"]:
    """A new database, whose texts compare byte by byte; dropped again if the `with` block fails.

    Raises:
        InputError: the database exists, or the user may not create one.
    """
    import pymysql

    name = quote_identifier(address.database, Dialect.MYSQL)
    try:
        with _open(address, None) as connection:
            collation = "utf8mb4_nopad_bin" if _is_mariadb(connection) else "utf8mb4_0900_bin"
            created = NewMySQL(connection)
            created.execute(f"CREATE DATABASE {name} COLLATE {collation}")
            try:
                created.execute(f"USE {name}")
                yield created
            except BaseException:
                created.execute(f"DROP DATABASE {name}")
                raise
    except pymysql.Error as error:
        raise InputError(f"{address.database}: {_parts(error)[1]}") from error


class NewMySQL:
    """A new database that a copy is written to."""

    def __init__(self, connection: "pymysql.Connection[Cursor]") -> None:
        self.connection = connection

    def execute(self, statement: str) -> None:
        """Run a statement of ours."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def insert(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows."""
        with self.connection.cursor() as cursor:
            cursor.executemany(statement, rows)


class MySQLSandbox(ServerSandbox):
    """A database of MySQL or MariaDB opened so that any SQL can be run on it safely."""

    connection: "pymysql.Connection[Cursor]"

    def connect(self) -> ForbiddenNames:
        self.connection = connect(self.address, self.limits.seconds)
        return FORBIDDEN

    def disconnect(self) -> None:
        import pymysql

        if self.connection.open:
            try:
                self.connection.close()
            except pymysql.Error:  # the server is gone
                return

    def run(self, sql: str) -> Result:
        import pymysql

        if (found := REFUSED.search(sql)) is not None:
            return Result(Status.REFUSED, f"{found[0]!r} may not be used", "forbidden")
        try:
            self._command("START TRANSACTION READ ONLY")
            try:
                return self._fetch(sql)
            except pymysql.Error as error:
                return self._failure(error)
            finally:
                self._leave(sql)
        except (pymysql.Error, OSError) as error:
            raise Lost(_parts(error)[1]) from error

    def _fetch(self, sql: str) -> Result:
        from pymysql.cursors import SSCursor

        cursor = self.connection.cursor(SSCursor)
        cursor.execute(sql)
        if not cursor.description:
            return Result(Status.REFUSED, "not a query: it has no result", "not a query")
        columns = tuple(column[0] for column in cursor.description)
        plain = PlainCursor(lambda size: list(cursor.fetchmany(size)), self.limits)
        rows, size = fetch(plain, len(columns), self.limits)
        cursor.close()
        volatile = "@" in sql or mentions(sql, VOLATILE)
        return Result(Status.OK, columns=columns, rows=rows, volatile=volatile, size=size)

    def _leave(self, sql: str) -> None:
        """Leave nothing behind: no transaction, and no variables for the next statement."""
        if self.connection.open and not self._has_more():
            self._command("ROLLBACK")
            if "@" in sql:
                self.close()

    def _has_more(self) -> bool:
        """Whether rows are left that nobody wants; the connection is closed then."""
        result: Any = vars(self.connection)["_result"]
        return result is not None and bool(result.unbuffered_active)

    def _command(self, command: str) -> None:
        self.connection.query(command)

    def _failure(self, error: Exception) -> Result:
        number, message = _parts(error)
        if number == SERVER_LOST and "timed out" in message:
            raise Silent
        if number in LOST or not self.connection.open:
            raise Lost(message)
        status, kind = ENDS.get(number, (Status.ERROR, "other"))
        return Result(status, message, kind)
