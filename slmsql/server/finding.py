"""The databases that a server offers, by name."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import check_usable
from slmsql.execution.engines.address import TABLE_FILES, is_url, name_of, table_files

FILES = ("*.sqlite", "*.db", "*.duckdb", "*/*.sqlite", "*/*.duckdb")


def find_databases(places: Sequence[Path]) -> dict[str, Path]:
    """The databases at some places, by name.

    Args:
        places: databases, and folders of databases.

    Raises:
        FileNotFoundError: a place does not exist.
        InputError: a folder contains no database, two databases have one name, or one of them
            cannot be used.
    """
    databases: dict[str, Path] = {}
    for database in chain.from_iterable(map(_databases_at, places)):
        name = name_of(database)
        if databases.setdefault(name, database) != database:
            raise InputError(f"{databases[name]} and {database} are both called {name!r}")
    for database in databases.values():
        check_usable(database)
    return databases


def _databases_at(place: Path) -> list[Path]:
    if is_url(place):
        return [place]
    if place.is_file() or (place.is_dir() and table_files(place)):
        return [place.absolute()]
    if not place.is_dir():
        raise FileNotFoundError(f"no folder {place}")
    files = [file for pattern in FILES for file in place.glob(pattern)]
    folders = {file.parent for file in place.glob("*/*") if file.suffix in TABLE_FILES}
    found = sorted({*files, *(folder for folder in folders if not _has_database(folder))})
    if not found:
        raise InputError(f"{place} has no NAME.sqlite and no NAME/NAME.sqlite")
    return [database.absolute() for database in found]


def _has_database(folder: Path) -> bool:
    return any(folder.glob("*.sqlite")) or any(folder.glob("*.duckdb"))
