"""Tables, columns and foreign keys, as far as reading queries needs them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.execution import connect
from slmsql.files import read_json


@dataclass(frozen=True, slots=True)
class Catalog:
    """Names in lower case, as Spider compares them."""

    columns: Mapping[str, tuple[str, ...]]
    same: Mapping[str, str] = field(default_factory=dict)
    """`table.column` that is tied to others by foreign keys, to the first of them."""


def read_catalog(database: Path, same: Mapping[str, str] | None = None) -> Catalog:
    """The tables and columns of a database."""
    connection = connect(database)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        columns = {
            str(name).lower(): tuple(
                str(row[0]).lower()
                for row in connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
            )
            for (name,) in tables.fetchall()
        }
    finally:
        connection.close()
    return Catalog(columns, same or {})


def read_foreign_keys(tables: Path) -> dict[str, dict[str, str]]:
    """By database of Spider's `tables.json`: columns tied by foreign keys, to their first one.

    Raises:
        InputError: the file is not in that form.
    """
    entries = read_json(tables)
    try:
        return {entry["db_id"]: _same(entry) for entry in entries}
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(f"{tables}: not in the form of Spider's tables.json ({error})") from error


def _same(entry: dict[str, Any]) -> dict[str, str]:
    names = [
        f"{entry['table_names_original'][table].lower()}.{column.lower()}" if table >= 0 else "*"
        for table, column in entry["column_names_original"]
    ]
    # The evaluator joins a key to the first set that it touches and never merges two sets.
    groups: list[set[int]] = []
    for pair in entry["foreign_keys"]:
        group = next((group for group in groups if group & set(pair)), None)
        if group is None:
            group = set()
            groups.append(group)
        group.update(pair)
    return {names[index]: names[min(group)] for group in groups for index in group}
