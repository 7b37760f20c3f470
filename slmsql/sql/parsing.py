"""SQL as a syntax tree: `parse_query("SELECT a FROM t")` is sqlglot's tree of the query.

The text may come from a model, so nothing here may raise, hang or recurse too deeply, whatever the
text is. Work that uses a tree goes through `guarded` for the same reason: sqlglot's time can grow
with the square of the length, and printing a deep tree can exceed Python's recursion limit.

`func_timeout` stops work that takes too long. It costs a thread, about ten times as long as
parsing a short query takes, so only texts longer than `GUARDED_CHARS` are guarded. No shorter text
that we tried takes over 50 ms; `tests/test_sql_parsing.py` tries the shapes known to be slow.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import sqlglot
from func_timeout import FunctionTimedOut, func_timeout
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

GUARDED_CHARS = 2_000
PARSE_SECONDS = 2.0

T = TypeVar("T")


def guarded(sql: str, work: Callable[..., T], *arguments: object) -> T | None:
    """The result of `work(*arguments)`, or None if sqlglot fails or takes over `PARSE_SECONDS`.

    Do not nest guarded calls: when the outer one runs out of time, the inner one keeps running.

    Args:
        sql: the text that the work is about; its length decides whether a time limit is needed.
        work: a function that parses SQL, or reads, changes or prints a tree.
        arguments: passed to `work`.
    """
    try:
        if len(sql) <= GUARDED_CHARS:
            return work(*arguments)
        # A closure, because the error of `func_timeout` would print all arguments: whole trees.
        result: T = func_timeout(PARSE_SECONDS, lambda: work(*arguments))
        return result
    except (SqlglotError, RecursionError, ValueError, FunctionTimedOut):
        return None


def parse_query(sql: str, *, dialect: str = "sqlite") -> exp.Expr | None:
    """The tree of a query, which the caller may change; None if it cannot be parsed.

    Several statements give one tree: a block of all of them.
    """
    return guarded(sql, _parse_one, sql, dialect)


def parse_statements(sql: str, *, dialect: str = "sqlite") -> list[exp.Expr] | None:
    """The trees of all statements; None if sqlglot cannot parse them within `PARSE_SECONDS`."""
    return guarded(sql, _parse, sql, dialect)


@lru_cache(maxsize=20_000)
def parsed(sql: str) -> exp.Expr | None:
    """Like `parse_query`, but cached and shared: do not change the tree.

    Names in double quotes that SQLite would take as text are text literals here.
    """
    return guarded(sql, _parse_with_literals, sql)


@lru_cache(maxsize=20_000)
def normalised(sql: str) -> str | None:
    """The query in one spelling: case, quotes, white space and alias names do not matter."""
    tree = parsed(sql)
    return None if tree is None else guarded(sql, _spelling, tree)


def table_names(tree: exp.Expr) -> dict[str, str]:
    """Table name by alias, both in lower case; a table used twice keeps its separate aliases."""
    tables = [
        (table.alias_or_name.lower(), table.name.lower()) for table in tree.find_all(exp.Table)
    ]
    counts: dict[str, int] = {}
    for _, name in set(tables):
        counts[name] = counts.get(name, 0) + 1
    return {alias: name if counts[name] == 1 else alias for alias, name in tables}


def _parse(sql: str, dialect: str) -> list[exp.Expr]:
    return [tree for tree in sqlglot.parse(sql, read=dialect) if isinstance(tree, exp.Expr)]


def _parse_one(sql: str, dialect: str) -> exp.Expr | None:
    tree = sqlglot.parse_one(sql, read=dialect)
    return tree if isinstance(tree, exp.Expr) else None


def _parse_with_literals(sql: str) -> exp.Expr | None:
    tree = _parse_one(sql, "sqlite")
    if tree is None:
        return None
    for column in list(tree.find_all(exp.Column)):
        if _is_quoted_text(column):
            column.replace(exp.Literal.string(column.name))
    return tree


def _spelling(tree: exp.Expr) -> str:
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
    return tree.sql(
        dialect="sqlite",
        normalize_functions="upper",
        comments=False,
        copy=False,
        unsupported_level=ErrorLevel.IGNORE,  # no warnings about queries of other engines
    )


def _is_quoted_text(column: exp.Column) -> bool:
    """Whether SQLite would read a name in double quotes as text because no column has that name.

    Spider's queries are full of them. A quoted name on the right of a comparison counts as text.
    """
    parent = column.parent
    if column.table or not isinstance(column.this, exp.Identifier) or not column.this.quoted:
        return False
    return isinstance(parent, exp.Predicate | exp.In | exp.Between) and parent.this is not column
