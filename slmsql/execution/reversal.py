"""A database with its rows stored the other way round: what still gives the same result is sound.

SQLite takes rows in the order in which they are stored wherever a query leaves the order open: a
LIMIT over ties, a bare column beside an aggregate, `group_concat`. A result that changes with the
order of storage is an accident, and no prediction can be expected to repeat it.
"""

import os
import sqlite3
import tempfile
from pathlib import Path
from urllib.parse import quote

from slmsql.errors import InputError
from slmsql.execution.database import check
from slmsql.sql.quoting import quote_identifier

Table = tuple[str, str]  # name and the statement that made it


def create_reversed_copy(source: Path, target: Path) -> None:
    """Write the tables and views of `source` to `target`, rows reversed, without keys and indexes.

    Without keys because an INTEGER PRIMARY KEY would put the rows back into its order.

    Raises:
        InputError: a table cannot be copied (a virtual one whose module is missing, say).
    """
    check(source)
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
    for name, made_by in _made(connection, "table"):
        if not name.startswith("sqlite_"):
            _copy(connection, name, made_by)
    for _, made_by in _made(connection, "view"):
        connection.execute(made_by)
    connection.execute("COMMIT")


def _made(connection: sqlite3.Connection, kind: str) -> list[Table]:
    query = "SELECT name, sql FROM source.sqlite_master WHERE type = ? ORDER BY rowid"
    return connection.execute(query, (kind,)).fetchall()


def _copy(connection: sqlite3.Connection, name: str, made_by: str) -> None:
    table = quote_identifier(name)
    columns = connection.execute(f"PRAGMA source.table_xinfo({table})").fetchall()
    if "collate" in made_by.lower():  # collations are not listed: take the table as it was made
        connection.execute(made_by)
    else:
        declared = ", ".join(f"{quote_identifier(column[1])} {column[2]}" for column in columns)
        connection.execute(f"CREATE TABLE main.{table} ({declared})")
    order = "1" if "without rowid" in " ".join(made_by.lower().split()) else _row_id(columns)
    connection.execute(
        f"INSERT INTO main.{table} SELECT * FROM source.{table} ORDER BY {order} DESC"
    )


def _row_id(columns: list[tuple[int, str]]) -> str:
    """A name of the row number that no column hides."""
    names = {str(column[1]).lower() for column in columns}
    return next(name for name in ("rowid", "_rowid_", "oid", "1") if name not in names)
