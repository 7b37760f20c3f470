"""A copy of a database with all rows in reverse order, to find queries that depend on row order.

Where a query leaves the order open, SQLite uses the order in which rows are stored: for a LIMIT
over ties, a bare column beside an aggregate, `group_concat`. A result that changes when the rows
are reversed is an accident, and no prediction can be expected to repeat it.
"""

import os
import sqlite3
import tempfile
from pathlib import Path
from urllib.parse import quote

from slmsql.errors import InputError
from slmsql.execution.database import check_database
from slmsql.sql.quoting import quote_identifier

Table = tuple[str, str]  # name and CREATE statement


def create_reversed_copy(source: Path, target: Path) -> None:
    """Write the tables and views of `source` to `target`, rows reversed, without keys and indexes.

    Keys are left out because an INTEGER PRIMARY KEY would restore the order of the rows.

    Raises:
        InputError: a table cannot be copied, for instance a virtual one whose module is missing.
    """
    check_database(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    connection = sqlite3.connect(f"file:{quote(temporary)}", uri=True, isolation_level=None)
    try:
        _fill(connection, source)
        connection.close()
        os.replace(temporary, target)
    except sqlite3.Error as error:
        raise InputError(f"cannot copy {source} row by row: {error}") from error
    finally:
        connection.close()
        Path(temporary).unlink(missing_ok=True)


def _fill(connection: sqlite3.Connection, source: Path) -> None:
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    uri = f"file:{quote(str(source.absolute()))}?mode=ro&immutable=1"
    connection.execute("ATTACH ? AS source", (uri,))
    connection.execute("BEGIN")
    for name, statement in _created(connection, "table"):
        if not name.startswith("sqlite_"):
            _copy(connection, name, statement)
    for _, statement in _created(connection, "view"):
        connection.execute(statement)
    connection.execute("COMMIT")


def _created(connection: sqlite3.Connection, kind: str) -> list[Table]:
    query = "SELECT name, sql FROM source.sqlite_master WHERE type = ? ORDER BY rowid"
    return connection.execute(query, (kind,)).fetchall()


def _copy(connection: sqlite3.Connection, name: str, statement: str) -> None:
    table = quote_identifier(name)
    columns = connection.execute(f"PRAGMA source.table_xinfo({table})").fetchall()
    if "collate" in statement.lower():  # collations are not listed: use the original statement
        connection.execute(statement)
    else:
        declared = ", ".join(f"{quote_identifier(column[1])} {column[2]}" for column in columns)
        connection.execute(f"CREATE TABLE main.{table} ({declared})")
    order = "1" if "without rowid" in " ".join(statement.lower().split()) else _row_id(columns)
    connection.execute(
        f"INSERT INTO main.{table} SELECT * FROM source.{table} ORDER BY {order} DESC"
    )


def _row_id(columns: list[tuple[int, str]]) -> str:
    """A name for the row number that is not the name of a column."""
    names = {str(column[1]).lower() for column in columns}
    return next(name for name in ("rowid", "_rowid_", "oid", "1") if name not in names)
