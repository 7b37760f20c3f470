"""Which engine a database's name means: a file, a folder of tables or a URL.

    my.sqlite, my.duckdb, sales/ (with orders.csv, items.parquet ...), postgresql://ann@host/sales

A database is a `Path` everywhere, and so is a URL. `Path` makes one slash of the two, which does no
harm here: both spellings mean the same server. A database on a local socket is `postgresql:///sales`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from slmsql.errors import InputError
from slmsql.sql.dialect import Dialect

SERVERS = {
    "postgresql": Dialect.POSTGRES,
    "postgres": Dialect.POSTGRES,
    "mysql": Dialect.MYSQL,
    "mariadb": Dialect.MYSQL,
}
URL = re.compile(rf"({'|'.join(SERVERS)}):/+(.*)", re.DOTALL)
DUCKDB_MARK = (8, b"DUCK")  # position and bytes in a DuckDB file
TABLE_FILES = {  # by suffix: the function with which DuckDB reads the file
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".parquet": "read_parquet",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
}


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A database of a server. A password is never part of it."""

    dialect: Dialect
    user: str
    host: str
    port: int | None
    database: str
    options: dict[str, str] = field(default_factory=dict)
    """What stands after the question mark of the URL, such as `sslmode` or `search_path`."""


def is_url(database: Path) -> bool:
    """Whether a database's name is the URL of a server."""
    return URL.match(str(database)) is not None


def with_name(folder: Path, name: str) -> Path:
    """The database called `name` of a server, or in a folder of the benchmarks' layout.

    Args:
        folder: a folder, or the URL of a server (`postgresql://ann@host`). The URL of a database
            (`postgresql://ann@host/sales`) stands for itself, whatever the name.
    """
    if match := URL.match(str(folder)):
        server, mark, options = match[2].partition("?")
        if "/" in server:
            return folder
        return Path(f"{match[1]}:/{server}/{name}{mark}{options}")
    usual = folder / name / f"{name}.sqlite"
    duckdb = usual.with_suffix(".duckdb")
    return duckdb if not usual.exists() and duckdb.exists() else usual


def name_of(database: Path) -> str:
    """A short name: that of the server's database, of the folder, or of the file without suffix."""
    if match := URL.match(str(database)):
        return match[2].partition("?")[0].rpartition("/")[2]
    return database.absolute().name if database.is_dir() else database.stem


def dialect_of(database: Path) -> Dialect:
    """The dialect of a database; a file that is missing or unknown counts as SQLite."""
    if match := URL.match(str(database)):
        return SERVERS[match[1]]
    if database.is_dir() or is_duckdb(database):
        return Dialect.DUCKDB
    return Dialect.SQLITE


def is_duckdb(file: Path) -> bool:
    """Whether a file is a DuckDB database."""
    start, mark = DUCKDB_MARK
    try:
        with open(file, "rb") as content:
            return content.read(start + len(mark))[start:] == mark
    except OSError:
        return False


def table_files(folder: Path) -> list[Path]:
    """The files of a folder that DuckDB can read as tables."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in TABLE_FILES)


def server_address(database: Path) -> ServerAddress:
    """Take a URL apart.

    Raises:
        InputError: it names no database, has a wrong port or holds a password. The message does
            not repeat the password.
    """
    match = URL.match(str(database))
    assert match is not None
    place, _, options = match[2].partition("?")
    credentials, _, location = place.rpartition("@")
    user, colon, _ = credentials.partition(":")
    dialect = SERVERS[match[1]]
    if colon or "password" in options:
        raise InputError(f"a URL of {dialect.label} must not hold a password; {PASSWORDS[dialect]}")
    host, _, name = location.rpartition("/")
    host, _, port = host.partition(":")
    if not name:
        raise InputError(f"{database}: expected {match[1]}://USER@HOST/DATABASE")
    if port and not (port.isdecimal() and int(port) < 2**16):
        raise InputError(f"{database}: {port!r} is not a port")
    return ServerAddress(
        dialect,
        unquote(user),
        unquote(host),
        int(port) if port else None,
        unquote(name),
        dict(parse_qsl(options)),
    )


PASSWORDS = {
    Dialect.POSTGRES: "set PGPASSWORD, or add a line to ~/.pgpass",
    Dialect.MYSQL: "set MYSQL_PWD, or write it into ~/.my.cnf under [client]",
}
