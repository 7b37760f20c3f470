"""SQL as a syntax tree. Text from a model is hostile: no input may raise, hang or recurse forever.

`func_timeout` ends a parse that takes too long. It costs a thread, about ten times as long as
parsing a short query takes, so only texts over `GUARDED_CHARS` are guarded; no shorter text was
found that takes over 50 ms (`tests/test_sql_parsing.py` tries the shapes that are known to hurt).
"""

from functools import lru_cache

import sqlglot
from func_timeout import FunctionTimedOut, func_timeout
from sqlglot import exp
from sqlglot.errors import SqlglotError

GUARDED_CHARS = 2_000
PARSE_SECONDS = 2.0


def parse_query(sql: str, *, dialect: str = "sqlite") -> exp.Expr | None:
    """The tree of the first statement, the caller's own to change; None if it cannot be read."""
    trees = parse_statements(sql, dialect=dialect)
    return trees[0] if trees else None


def parse_statements(sql: str, *, dialect: str = "sqlite") -> list[exp.Expr] | None:
    """The trees of all statements; None if sqlglot cannot read them within `PARSE_SECONDS`."""
    try:
        if len(sql) <= GUARDED_CHARS:
            trees = sqlglot.parse(sql, read=dialect)
        else:
            trees = func_timeout(PARSE_SECONDS, sqlglot.parse, (sql,), {"read": dialect})
    except (SqlglotError, RecursionError, ValueError, FunctionTimedOut):
        return None
    return [tree for tree in trees if isinstance(tree, exp.Expr)]


@lru_cache(maxsize=20_000)
def parsed(sql: str) -> exp.Expr | None:
    """`parse_query`, remembered and shared: do not change the tree.

    Names in double quotes that SQLite would take as text are text literals here.
    """
    tree = parse_query(sql)
    if tree is None:
        return None
    for column in list(tree.find_all(exp.Column)):
        if _is_quoted_text(column):
            column.replace(exp.Literal.string(column.name))
    return tree


@lru_cache(maxsize=20_000)
def normalised(sql: str) -> str | None:
    """A query in one spelling: case, quotes, spaces and alias names do not matter."""
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


def table_names(tree: exp.Expr) -> dict[str, str]:
    """Table name by alias, both in lower case; a table used twice keeps its aliases apart."""
    tables = [
        (table.alias_or_name.lower(), table.name.lower()) for table in tree.find_all(exp.Table)
    ]
    counts: dict[str, int] = {}
    for _, name in set(tables):
        counts[name] = counts.get(name, 0) + 1
    return {alias: name if counts[name] == 1 else alias for alias, name in tables}


def _is_quoted_text(column: exp.Column) -> bool:
    """Whether a name in double quotes is a text, as SQLite reads it if no column has the name.

    Spider's queries are full of them. A quoted name on the right of a comparison is one.
    """
    parent = column.parent
    if column.table or not isinstance(column.this, exp.Identifier) or not column.this.quoted:
        return False
    return isinstance(parent, exp.Predicate | exp.In | exp.Between) and parent.this is not column
