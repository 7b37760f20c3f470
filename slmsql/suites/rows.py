"""Rows of a suite's database as INSERT statements."""

from datetime import date


def insert(table: str, *values: object) -> str:
    """The statement that inserts one row; dates are written as ISO text."""
    return f"INSERT INTO {table} VALUES ({', '.join(map(_literal, values))});"


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return str(value)
    text = value.isoformat() if isinstance(value, date) else str(value)
    return "'" + text.replace("'", "''") + "'"
