"""PostgreSQL's queries for SQLite, by sqlglot and by rules for the dates it does not translate.

to_sqlite("SELECT EXTRACT(YEAR FROM d) FROM t", "postgres")
# SELECT CAST(STRFTIME('%Y', d) AS INTEGER) FROM t
"""

import sqlglot
from sqlglot import exp

FORMATS = {"YEAR": "%Y", "MONTH": "%m", "DAY": "%d"}


def to_sqlite(sql: str, dialect: str) -> str:
    """Translate a query to SQLite. The caller checks that it runs."""
    if dialect == "sqlite":
        return sql
    tree = sqlglot.parse_one(sql, read=dialect)
    return tree.transform(_date_part).transform(_date_arithmetic).sql(dialect="sqlite")


def _date_part(node: exp.Expr) -> exp.Expr:
    """Translate `EXTRACT(YEAR FROM d)` and `DATE_TRUNC('month', d)`."""
    if isinstance(node, exp.Extract) and node.name.upper() in FORMATS:
        text = exp.func("STRFTIME", exp.Literal.string(FORMATS[node.name.upper()]), node.expression)
        return exp.cast(text, "INT")
    if isinstance(node, exp.TimestampTrunc | exp.DateTrunc) and node.text("unit") in FORMATS:
        start = exp.Literal.string(f"start of {node.text('unit').lower()}")
        return exp.func("DATE", node.this, start)
    return node


def _date_arithmetic(node: exp.Expr) -> exp.Expr:
    """Translate `d + INTERVAL '7 days'`, and `a::date - b::date`, a number of days."""
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Interval):
        sign = "+" if isinstance(node, exp.Add) else "-"
        interval = node.expression
        step = exp.Literal.string(f"{sign}{interval.name} {interval.text('unit').lower()}")
        return exp.func("DATE", node.this, step)
    if isinstance(node, exp.Sub) and _is_date(node.left) and _is_date(node.right):
        days = [exp.Anonymous(this="JULIANDAY", expressions=[d]) for d in (node.left, node.right)]
        return exp.cast(exp.Sub(this=days[0], expression=days[1]), "INT")
    return node


def _is_date(node: exp.Expr) -> bool:
    return isinstance(node, exp.Cast) and node.to.is_type("date")
