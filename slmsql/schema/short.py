"""A schema in one line and its foreign keys in another, for small models that read little.

singer : id , name ( 'Ann' ) , age | song : id , title , singer_id
song.singer_id = singer.id

The form of PICARD's prompts (arXiv 2109.05093), with foreign keys. It shows no types, no
descriptions and no sample values, only the values that were retrieved for the question. Names and
values stand as a query must write them.
"""

from collections.abc import Iterator

from slmsql.schema.model import RetrievedValues, Schema, Table, Value
from slmsql.sql.dialect import Dialect
from slmsql.sql.quoting import quote_if_needed


def short_text(schema: Schema, values: RetrievedValues) -> str:
    """The schema as a short prompt shows it, with the values retrieved for the question."""
    tables = " | ".join(_table_text(table, values, schema.dialect) for table in schema.tables)
    keys = " , ".join(
        dict.fromkeys(key for table in schema.tables for key in _keys(table, schema.dialect))
    )
    return "\n".join(filter(None, (tables, keys)))


def _table_text(table: Table, values: RetrievedValues, dialect: Dialect) -> str:
    columns = []
    for column in table.columns:
        retrieved = values.get((table.name.lower(), column.name.lower()), ())
        shown = " , ".join(map(_value_text, retrieved))
        columns.append(quote_if_needed(column.name, dialect) + (f" ( {shown} )" if shown else ""))
    return f"{quote_if_needed(table.name, dialect)} : {' , '.join(columns)}".rstrip()


def _value_text(value: Value) -> str:
    """A value on one line, in quotes if it is a text."""
    if not isinstance(value, str):
        return str(value)
    return "'" + " ".join(value.split()).replace("'", "''") + "'"


def _keys(table: Table, dialect: Dialect) -> Iterator[str]:
    for key in table.foreign_keys:
        # Without strict: a key may refer to the primary key of a table that has none.
        for column, reference in zip(key.columns, key.references, strict=False):
            parent = _place(key.parent, reference, dialect)
            yield f"{_place(table.name, column, dialect)} = {parent}"


def _place(table: str, column: str, dialect: Dialect) -> str:
    return f"{quote_if_needed(table, dialect)}.{quote_if_needed(column, dialect)}"
