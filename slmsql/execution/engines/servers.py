"""Databases of servers as the parent process sees them: checked, read and told apart."""

import hashlib
import importlib.util
from contextlib import AbstractContextManager
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution.engines import postgres
from slmsql.execution.engines.address import ServerAddress, server_address
from slmsql.execution.engines.catalogs import CATALOGS
from slmsql.execution.types import Query
from slmsql.sql.dialect import Dialect

DRIVERS = {Dialect.POSTGRES: "psycopg"}
EXTRAS = {Dialect.POSTGRES: "postgres"}


def check(database: Path) -> ServerAddress:
    """Take a URL apart, and check that the driver is installed. Nothing is connected.

    Raises:
        InputError: the URL is wrong, or the driver is missing.
    """
    address = server_address(database)
    if importlib.util.find_spec(DRIVERS[address.dialect]) is None:
        raise InputError(
            f"{address.dialect.label} needs a driver; pip install -e .[{EXTRAS[address.dialect]}]"
        )
    postgres.check_options(address)
    return address


def reading(database: Path) -> AbstractContextManager[Query]:
    """A function that runs our own queries and returns all their rows.

    Raises:
        InputError: the server cannot be reached, or a query fails.
    """
    return postgres.reading(check(database))


def creating(database: Path) -> AbstractContextManager[postgres.NewPostgres]:
    """A new database of a server; dropped again if the `with` block fails.

    Raises:
        InputError: the database exists, or cannot be created.
    """
    return postgres.creating(check(database))


def fingerprint(database: Path) -> str:
    """A hash of the database's name and of its columns."""
    address = check(database)
    with reading(database) as query:
        columns = query(CATALOGS[address.dialect].columns)
    return hashlib.sha256(repr([address.database, columns]).encode()).hexdigest()
