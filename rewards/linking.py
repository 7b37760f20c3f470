"""Rewards for the words of the SQL: the right tables and columns, the right parts.

They pay for likeness where a result pays nothing, and so for wrong queries too: keep their weight
small, and look at `watch/` when one is on. Names and clauses are read with sqlglot; SQL that it
cannot read earns 0.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlglot import exp

from rewards.completion import Completion, text_of
from slmsql.prompt.answer import parse
from slmsql.sql.parsing import parse_query

CLAUSES = ("expressions", "from_", "joins", "where", "group", "having", "order", "limit")
LONGEST = 20_000  # characters of SQL that are read; sqlglot's time grows with the square at times


def linking_reward(
    completions: Sequence[Completion], gold_sql: Sequence[str], **_: Any
) -> list[float | None]:
    """The mean of a score for tables and one for columns: 1 the gold's, 0.5 more, 0 some missing.

    Published as `link_table` and `link_column` (CSC-SQL), there for models that answer with names;
    `link_column_from_sql` reads them from SQL as here. Tables that a query defines by WITH do not
    count.
    """
    return [
        _linking(parse(text_of(completion)).sql, gold)
        for completion, gold in zip(completions, gold_sql, strict=True)
    ]


def components_reward(
    completions: Sequence[Completion], gold_sql: Sequence[str], **_: Any
) -> list[float | None]:
    """The share of parts in common, over all clauses that either query has.

    Counterparts: the component match of Spider's evaluator, the n-gram and schema rewards of
    Reasoning-SQL. Aliases are left out and the order of parts is free; the value is the mean over
    clauses of |common| / |either|.
    """
    return [
        _components(parse(text_of(completion)).sql, gold)
        for completion, gold in zip(completions, gold_sql, strict=True)
    ]


def _linking(sql: str | None, gold: str) -> float:
    mine, theirs = _tree(sql), _tree(gold)
    if mine is None or theirs is None:
        return 0.0
    return (_covers(_tables(mine), _tables(theirs)) + _covers(_columns(mine), _columns(theirs))) / 2


def _covers(mine: frozenset[str], gold: frozenset[str]) -> float:
    if mine == gold:
        return 1.0
    return 0.5 if mine > gold else 0.0


def _tables(tree: exp.Expr) -> frozenset[str]:
    defined = {part.alias.lower() for part in tree.find_all(exp.CTE)}
    return frozenset(table.name.lower() for table in tree.find_all(exp.Table)) - defined


def _columns(tree: exp.Expr) -> frozenset[str]:
    """Names of columns without those of the query's own making (`count(*) AS n ... ORDER BY n`)."""
    own = {alias.alias.lower() for alias in tree.find_all(exp.Alias)}
    return frozenset(column.name.lower() for column in tree.find_all(exp.Column)) - own


def _components(sql: str | None, gold: str) -> float:
    mine, theirs = _parts(sql), _parts(gold)
    clauses = sorted({clause for clause, _ in mine | theirs})
    if not mine or not theirs:
        return 0.0
    return sum(_in_common(clause, mine, theirs) for clause in clauses) / len(clauses)


def _in_common(
    clause: str, mine: frozenset[tuple[str, str]], theirs: frozenset[tuple[str, str]]
) -> float:
    a = {part for name, part in mine if name == clause}
    b = {part for name, part in theirs if name == clause}
    return len(a & b) / len(a | b)


@lru_cache(maxsize=10_000)
def _parts(sql: str | None) -> frozenset[tuple[str, str]]:
    """(clause, text) of each part of each SELECT, without aliases of tables."""
    tree = _tree(sql)
    if tree is None:
        return frozenset()
    tree = tree.copy()
    aliases = {t.alias_or_name.lower(): t.name.lower() for t in tree.find_all(exp.Table)}
    for column in tree.find_all(exp.Column):
        column.set("table", None if column.table.lower() in aliases else column.args.get("table"))
    for table in tree.find_all(exp.Table):
        table.set("alias", None)
    return frozenset(
        (clause, part.sql(dialect="sqlite", normalize=True, comments=False).lower())
        for select in tree.find_all(exp.Select)
        for clause in CLAUSES
        for part in _pieces(select.args.get(clause))
    )


def _pieces(clause: Any) -> Iterable[exp.Expr]:
    """The parts of a clause: items of a list, conditions that AND joins."""
    if clause is None:
        return []
    if isinstance(clause, list):
        return clause
    if isinstance(clause, exp.Where | exp.Having):
        return list(clause.this.flatten()) if isinstance(clause.this, exp.And) else [clause.this]
    return clause.expressions or [clause]


@lru_cache(maxsize=10_000)
def _tree(sql: str | None) -> exp.Expr | None:
    if sql is None or len(sql) > LONGEST:
        return None
    return parse_query(sql)
