"""Which parts of SQL a query uses: "join", "group by", "limit" and so on."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from sqlglot import exp

from slmsql.sql.parsing import guarded, parsed

T = TypeVar("T", bound=exp.Expr)
DATES = ("date", "strftime", "julianday", "datetime", "time")

Nodes = list[exp.Expr]


def _has(*kinds: type[exp.Expr]) -> Callable[[Nodes], bool]:
    return lambda nodes: any(isinstance(node, kinds) for node in nodes)


def _of(nodes: Nodes, kind: type[T]) -> list[T]:
    return [node for node in nodes if isinstance(node, kind)]


def _repeats_a_table(nodes: Nodes) -> bool:
    """The same table twice in the FROM clause of the outermost query."""
    select = next(iter(_of(nodes, exp.Select)), None)
    tables = _of(nodes, exp.Table)
    names = [table.name.lower() for table in tables if table.parent_select is select]
    return len(set(names)) < len(names)


def _tests_null(nodes: Nodes) -> bool:
    return any(isinstance(node.expression, exp.Null) for node in _of(nodes, exp.Is))


def _uses_dates(nodes: Nodes) -> bool:
    names = (function.name or function.sql_name() for function in _of(nodes, exp.Func))
    return any(part in name.lower() for name in names for part in DATES)


def _has_subquery(nodes: Nodes) -> bool:
    return len(_of(nodes, exp.Select)) > 1 + len(_of(nodes, exp.SetOperation))


# Each test gets the list of all nodes, because walking the tree is most of the work.
CONSTRUCTS: dict[str, Callable[[Nodes], bool]] = {
    "one table": lambda nodes: len(_of(nodes, exp.Table)) == 1,
    "join": _has(exp.Join),
    "outer join": lambda nodes: any(join.side for join in _of(nodes, exp.Join)),
    "self join": _repeats_a_table,
    "where": _has(exp.Where),
    "like": _has(exp.Like, exp.Glob),
    "between": _has(exp.Between),
    "in": _has(exp.In),
    "null test": _tests_null,
    "aggregate": _has(exp.AggFunc),
    "group by": _has(exp.Group),
    "having": _has(exp.Having),
    "order by": _has(exp.Order),
    "limit": _has(exp.Limit),
    "distinct": _has(exp.Distinct),
    "arithmetic": _has(exp.Add, exp.Sub, exp.Mul, exp.Div),
    "case": _has(exp.Case, exp.If),
    "cast": _has(exp.Cast),
    "date": _uses_dates,
    "subquery": _has_subquery,
    "set operation": _has(exp.SetOperation),
    "with": _has(exp.CTE),
    "window": _has(exp.Window),
}


@lru_cache(maxsize=20_000)
def constructs(sql: str) -> tuple[str, ...]:
    """The names of the constructs in a query; none if it cannot be parsed."""
    tree = parsed(sql)
    return () if tree is None else guarded(sql, _constructs, tree) or ()


def _constructs(tree: exp.Expr) -> tuple[str, ...]:
    nodes = list(tree.walk())
    return tuple(name for name, uses in CONSTRUCTS.items() if uses(nodes))
