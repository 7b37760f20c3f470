"""Queries as syntax trees: what is compared of two queries beside their results."""

from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


@lru_cache(maxsize=20_000)
def parsed(sql: str) -> exp.Expr | None:
    """The tree of a query; None where sqlglot cannot read it. Not to be changed: it is shared."""
    try:
        tree = sqlglot.parse_one(sql, read="sqlite")
    except (SqlglotError, RecursionError, ValueError):
        return None
    if not isinstance(tree, exp.Expr):
        return None
    for column in list(tree.find_all(exp.Column)):
        if _is_quoted_text(column):
            column.replace(exp.Literal.string(column.name))
    return tree


@lru_cache(maxsize=20_000)
def normalised(sql: str) -> str | None:
    """A query in one spelling: case, quotes, spaces and names of aliases do not matter."""
    tree = parsed(sql)
    if tree is None:
        return None
    tree = tree.copy()
    names = table_names(tree)
    for node in list(tree.walk()):
        if isinstance(node, exp.TableAlias) and isinstance(node.parent, exp.Table):
            node.pop()
        elif isinstance(node, exp.Column) and node.table:
            node.set("table", exp.to_identifier(names.get(node.table.lower(), node.table)))
        elif isinstance(node, exp.Alias) and isinstance(node.parent, exp.Select):
            node.replace(node.this)
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.lower())
        identifier.set("quoted", False)
    for join in tree.find_all(exp.Join):
        join.set("kind", None if join.args.get("kind") in ("INNER", "CROSS") else join.kind)
    return tree.sql(dialect="sqlite", normalize_functions="upper", comments=False, copy=False)


def _is_quoted_text(column: exp.Column) -> bool:
    """Whether a name in double quotes is a text, as SQLite takes it where no column has the name.

    Spider's queries are full of them. A quoted name on the right of a comparison is one.
    """
    parent = column.parent
    if column.table or not isinstance(column.this, exp.Identifier) or not column.this.quoted:
        return False
    return isinstance(parent, exp.Predicate | exp.In | exp.Between) and parent.this is not column


def table_names(tree: exp.Expr) -> dict[str, str]:
    """Table by alias, both in lower case; a table used twice keeps its aliases apart."""
    tables = [
        (table.alias_or_name.lower(), table.name.lower()) for table in tree.find_all(exp.Table)
    ]
    counts: dict[str, int] = {}
    for _, name in set(tables):
        counts[name] = counts.get(name, 0) + 1
    return {alias: name if counts[name] == 1 else alias for alias, name in tables}
