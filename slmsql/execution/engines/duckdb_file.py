"""DuckDB files: checked, opened read-only, and made from folders of CSV, Parquet and JSON files.

A folder is imported once into a DuckDB file in the user's cache folder, and again when a file in it
changes. Afterwards nothing outside that file is ever opened, so DuckDB's access to files can stay
off altogether.
"""

import hashlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmsql.errors import InputError
from slmsql.execution.database import DAMAGED_DATABASE, Identity, UnusableDatabase
from slmsql.execution.engines.address import TABLE_FILES, table_files
from slmsql.execution.engines.values import plain_row
from slmsql.execution.types import Query
from slmsql.files import cache_folder
from slmsql.sql.quoting import quote_identifier, quote_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SAFE = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # names of Python variables are not tables
    "temp_directory": "",
    "threads": "1",
}
# Timestamps with a zone are shown in UTC everywhere. A worker runs no script file, so DuckDB takes
# it for somebody at a terminal and would print progress. No statement can undo these settings.
LOCK = "SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET lock_configuration = true"


def check(file: Path) -> Identity:
    """Check that a DuckDB file can be opened as far as that shows from outside.

    Raises:
        InputError: the package `duckdb` is missing, or the file has changes that are not in it yet.
    """
    _check_driver(file)
    log = Path(f"{file}.wal")
    if log.exists() and log.stat().st_size > 0:
        raise UnusableDatabase(
            "a database with unfinished changes",
            f"{file} has changes that are not in it yet ({log.name}); close the program that "
            "writes to it",
        )
    stat = os.stat(file)
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def _check_driver(place: Path) -> None:
    if importlib.util.find_spec("duckdb") is None:
        raise InputError(f"{place} needs DuckDB; pip install 'slmsql[duckdb]'")


def connect(file: str, memory: int | None = None) -> "DuckDBPyConnection":
    """Open a file for reading only, with everything off that leads out of it.

    Args:
        memory: bytes that DuckDB may use; by default its own limit, most of the machine's memory.

    Raises:
        duckdb.Error: it is damaged, or another program has opened it for writing.
    """
    import duckdb

    limit = {} if memory is None else {"memory_limit": f"{memory}B"}
    connection = duckdb.connect(file, read_only=True, config={**SAFE, **limit})
    connection.execute(LOCK)
    return connection


@contextmanager
def reading(file: str) -> Iterator[Query]:
    """A function that runs our own queries and returns all their rows.

    Raises:
        InputError: DuckDB cannot read the file.
    """
    import duckdb

    try:
        with closing(connect(file)) as connection:
            yield lambda sql: [plain_row(row) for row in connection.execute(sql).fetchall()]
    except duckdb.Error as error:
        message = str(error).partition("\n")[0]
        raise UnusableDatabase(DAMAGED_DATABASE, f"{file} cannot be read: {message}") from error


class NewDuckDB:
    """A new DuckDB file that a copy is written to."""

    def __init__(self, file: Path) -> None:
        import duckdb

        self.connection = duckdb.connect(os.fspath(file))
        self.connection.execute("BEGIN")

    def execute(self, statement: str) -> None:
        """Run a statement of ours."""
        self.connection.execute(statement)

    def insert(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows with one statement: DuckDB is slow with many."""
        start, _, marks = statement.rpartition(" VALUES ")
        every = ", ".join([marks] * len(rows))
        self.connection.execute(f"{start} VALUES {every}", [v for row in rows for v in row])

    def close(self) -> None:
        self.connection.execute("COMMIT")
        self.connection.close()


def import_folder(folder: Path) -> Path:
    """The DuckDB file with the tables of a folder, one for each file in it; made if it is missing.

    Raises:
        InputError: the folder has no such files, two files give one table, or a file cannot be
            read.
    """
    files = table_files(folder)
    if not files:
        raise UnusableDatabase(
            "a folder, not a database",
            f"database {folder} is a folder without {', '.join(TABLE_FILES)} files",
        )
    tables = {file.stem.lower(): file for file in files}
    if len(tables) < len(files):
        raise InputError(f"{folder}: several files are called {_repeated(files)!r}")
    state = [(str(f.absolute()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    name = hashlib.sha256(repr(state).encode()).hexdigest()[:32]
    target = cache_folder("folders") / f"{name}.duckdb"
    if not target.exists():
        _check_driver(folder)
        _import(files, target)
    return target


def _repeated(files: list[Path]) -> str:
    names = [file.stem.lower() for file in files]
    return next(name for name in names if names.count(name) > 1)


def _import(files: list[Path], target: Path) -> None:
    """Write the tables to a temporary file, and rename it: no reader sees half of them."""
    import duckdb

    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(f".{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    try:
        with closing(duckdb.connect(os.fspath(temporary))) as connection:
            for file in files:
                _import_file(connection, file)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _import_file(connection: "DuckDBPyConnection", file: Path) -> None:
    import duckdb

    reader = TABLE_FILES[file.suffix.lower()]
    whole = ", sample_size = -1" if reader != "read_parquet" else ""  # types from all rows
    source = f"{reader}({quote_text(os.fspath(file))}{whole})"
    try:
        connection.execute(f"CREATE TABLE {quote_identifier(file.stem)} AS FROM {source}")
    except duckdb.Error as error:
        raise InputError(f"{file}: {str(error).splitlines()[0]}") from error
