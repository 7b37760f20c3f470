"""Rows of a suite's database as INSERT statements."""

from datetime import date

from slmsql.sql.quoting import quote_value


def insert(table: str, *values: object) -> str:
    """The statement that inserts one row; dates are written as ISO text."""
    literals = [quote_value(v.isoformat() if isinstance(v, date) else v) for v in values]
    return f"INSERT INTO {table} VALUES ({', '.join(literals)});"
