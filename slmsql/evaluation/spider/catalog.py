"""Tables, columns and foreign keys of a database, as Spider's grammar needs them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.files import read_json
from slmsql.schema.reading import read_schema


@dataclass(frozen=True, slots=True)
class Catalog:
    """The names in a database, in lower case, as Spider compares them."""

    columns: Mapping[str, tuple[str, ...]]
    same: Mapping[str, str] = field(default_factory=dict)
    """Columns (`table.column`) linked by foreign keys, each mapped to the first of them."""


def read_catalog(database: Path, same: Mapping[str, str] | None = None) -> Catalog:
    """The tables and columns of a database of any engine."""
    columns = {
        table.name.lower(): tuple(column.name.lower() for column in table.columns)
        for table in read_schema(database, sample_values=0).tables
    }
    return Catalog(columns, same or {})


def read_foreign_keys(tables: Path) -> dict[str, dict[str, str]]:
    """`Catalog.same` for each database of Spider's `tables.json`, by its id.

    Raises:
        InputError: the file does not have the form of Spider's `tables.json`.
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
    # The evaluator adds a key to the first set that shares a column, and never merges two sets.
    linked: list[set[int]] = []
    for pair in entry["foreign_keys"]:
        columns = next((columns for columns in linked if columns & set(pair)), None)
        if columns is None:
            columns = set()
            linked.append(columns)
        columns.update(pair)
    return {names[index]: names[min(columns)] for columns in linked for index in columns}
