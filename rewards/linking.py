"""Rewards for the text of the SQL: the right tables and columns, the right clauses.

Both give partial credit to queries with a wrong result. Keep their weight small and look at the
`watch/` metrics while one is on. sqlglot reads names and clauses; SQL that it cannot read earns 0.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlglot import exp

from rewards.completion import Completion, answer_of
from slmsql.sql.parsing import guarded, parse_query

CLAUSES = ("expressions", "from_", "joins", "where", "group", "having", "order", "limit")
MAX_CHARS = 20_000  # longer SQL earns 0: sqlglot's time can grow with the square of the length


def linking_reward(
    completions: Sequence[Completion], gold_sql: Sequence[str], **_: Any
) -> list[float | None]:
    """The mean of a score for the tables and one for the columns that a query uses.

    Each score is 1 for exactly the gold query's names, 0.5 for these and others, and 0 if one is
    missing. Tables that a query defines in a WITH clause do not count.

    Published as `link_table` and `link_column` (CSC-SQL) for models that answer with names;
    `link_column_from_sql` reads them from SQL, as this function does.
    """
    return [
        _linking_score(answer_of(completion).sql, gold)
        for completion, gold in zip(completions, gold_sql, strict=True)
    ]


def components_reward(
    completions: Sequence[Completion], gold_sql: Sequence[str], **_: Any
) -> list[float | None]:
    """The overlap with the gold query: the mean of |common parts| / |all parts| over the clauses.

    Counts the clauses that at least one of the two queries has. Table aliases and the order of
    parts do not matter.

    Compare the component match of Spider's evaluator and the n-gram and schema rewards of
    Reasoning-SQL.
    """
    return [
        _components_score(answer_of(completion).sql, gold)
        for completion, gold in zip(completions, gold_sql, strict=True)
    ]


def _linking_score(sql: str | None, gold: str) -> float:
    predicted, expected = _tree(sql), _tree(gold)
    if predicted is None or expected is None:
        return 0.0
    tables = _coverage(_tables(predicted), _tables(expected))
    columns = _coverage(_columns(predicted), _columns(expected))
    return (tables + columns) / 2


def _coverage(names: frozenset[str], gold: frozenset[str]) -> float:
    if names == gold:
        return 1.0
    return 0.5 if names > gold else 0.0


def _tables(tree: exp.Expr) -> frozenset[str]:
    defined = {part.alias.lower() for part in tree.find_all(exp.CTE)}
    return frozenset(table.name.lower() for table in tree.find_all(exp.Table)) - defined


def _columns(tree: exp.Expr) -> frozenset[str]:
    """Names of columns, without aliases of the query itself (`count(*) AS n ... ORDER BY n`)."""
    aliases = {alias.alias.lower() for alias in tree.find_all(exp.Alias)}
    return frozenset(column.name.lower() for column in tree.find_all(exp.Column)) - aliases


def _components_score(sql: str | None, gold: str) -> float:
    predicted, expected = _parts(sql), _parts(gold)
    if not predicted or not expected:
        return 0.0
    clauses = sorted({clause for clause, _ in predicted | expected})
    return sum(_overlap(clause, predicted, expected) for clause in clauses) / len(clauses)


def _overlap(
    clause: str, predicted: frozenset[tuple[str, str]], expected: frozenset[tuple[str, str]]
) -> float:
    a = {part for name, part in predicted if name == clause}
    b = {part for name, part in expected if name == clause}
    return len(a & b) / len(a | b)


@lru_cache(maxsize=10_000)
def _parts(sql: str | None) -> frozenset[tuple[str, str]]:
    """(clause, text) of each part of each SELECT, without table aliases; empty if unreadable."""
    tree = _tree(sql)
    if sql is None or tree is None:
        return frozenset()
    return guarded(sql, _parts_of_tree, tree) or frozenset()


def _parts_of_tree(tree: exp.Expr) -> frozenset[tuple[str, str]]:
    tree = tree.copy()
    tables = {table.alias_or_name.lower() for table in tree.find_all(exp.Table)}
    for column in tree.find_all(exp.Column):
        if column.table.lower() in tables:
            column.set("table", None)
    for table in tree.find_all(exp.Table):
        table.set("alias", None)
    return frozenset(
        (clause, part.sql(dialect="sqlite", normalize=True, comments=False).lower())
        for select in tree.find_all(exp.Select)
        for clause in CLAUSES
        for part in _split(select.args.get(clause))
    )


def _split(clause: Any) -> Iterable[exp.Expr]:
    """The parts of a clause: items of a list, or conditions joined by AND."""
    if clause is None:
        return []
    if isinstance(clause, list):
        return clause
    if isinstance(clause, exp.Where | exp.Having):
        return list(clause.this.flatten()) if isinstance(clause.this, exp.And) else [clause.this]
    return clause.expressions or [clause]


@lru_cache(maxsize=10_000)
def _tree(sql: str | None) -> exp.Expr | None:
    if sql is None or len(sql) > MAX_CHARS:
        return None
    return parse_query(sql)
