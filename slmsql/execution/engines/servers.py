"""Databases of servers as the parent process sees them: checked, read and told apart."""

import hashlib
import importlib.util
from contextlib import AbstractContextManager
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution.engines import mysql, postgres
from slmsql.execution.engines.address import ServerAddress, server_address
from slmsql.execution.engines.catalogs import CATALOGS
from slmsql.execution.types import Query
from slmsql.sql.dialect import Dialect

DRIVERS = {Dialect.POSTGRES: "psycopg", Dialect.MYSQL: "pymysql"}
EXTRAS = {Dialect.POSTGRES: "postgres", Dialect.MYSQL: "mysql"}
OPTIONS = {Dialect.POSTGRES: postgres.OPTIONS, Dialect.MYSQL: mysql.OPTIONS}


def check(database: Path) -> ServerAddress:
    """Take a URL apart, and check that the driver is installed. Nothing is connected.

    Raises:
        InputError: the URL is wrong, or the driver is missing.
    """
    address = server_address(database)
    if importlib.util.find_spec(DRIVERS[address.dialect]) is None:
        raise InputError(
            f"{address.dialect.label} needs a driver; "
            f"pip install 'slmsql[{EXTRAS[address.dialect]}]'"
        )
    known = OPTIONS[address.dialect]
    if unknown := [name for name in address.options if name not in known]:
        raise InputError(f"unknown option {unknown[0]!r} of a URL; there are {', '.join(known)}")
    return address


def reading(database: Path) -> AbstractContextManager[Query]:
    """A function that runs our own queries and returns all their rows.

    Raises:
        InputError: the server cannot be reached, or a query fails.
    """
    address = check(database)
    return mysql.reading(address) if _is_mysql(address) else postgres.reading(address)


def creating(database: Path) -> AbstractContextManager[postgres.NewPostgres | mysql.NewMySQL]:
    """A new database of a server; dropped again if the `with` block fails.

    Raises:
        InputError: the database exists, or cannot be created.
    """
    address = check(database)
    return mysql.creating(address) if _is_mysql(address) else postgres.creating(address)


def fingerprint(database: Path) -> str:
    """A hash of the database's name and of its columns."""
    address = check(database)
    with reading(database) as query:
        columns = query(CATALOGS[address.dialect].columns)
    return hashlib.sha256(repr([address.database, columns]).encode()).hexdigest()


def _is_mysql(address: ServerAddress) -> bool:
    return address.dialect is Dialect.MYSQL
