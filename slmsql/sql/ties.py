"""Ties: does the LIMIT of a query cut between rows that sort equal?"""

from collections.abc import Mapping

from sqlglot import exp

from slmsql.sql.parsing import guarded, parsed


def tie_query(gold: str) -> tuple[str, int] | None:
    """A query for the values that the gold query sorts by, one row past its LIMIT; and the LIMIT.

    If the last row within the limit equals the first row past it, the gold query does not say
    which of the two belongs to its result. None if the gold query cuts nothing off.
    """
    tree = parsed(gold)
    return None if tree is None else guarded(gold, _tie_query, tree)


def all_tie_queries(gold: str) -> list[tuple[str, int]]:
    """Such queries for the gold query and for its subqueries; a correlated one does not run."""
    tree = parsed(gold)
    return [] if tree is None else guarded(gold, _all_tie_queries, tree) or []


def sort_keys_query(gold: str) -> str | None:
    """A query for the values that the gold query sorts all its rows by; None if it does not."""
    tree = parsed(gold)
    return None if tree is None else guarded(gold, _sort_keys_query, tree)


def _all_tie_queries(tree: exp.Expr) -> list[tuple[str, int]]:
    queries = [_tie_query(select) for select in tree.find_all(exp.Select)]
    return [query for query in queries if query is not None]


def _tie_query(tree: exp.Expr) -> tuple[str, int] | None:
    limit = tree.args.get("limit")
    keys = _with_sort_keys(tree)
    if keys is None or limit is None or not str(limit.expression).isdigit():
        return None
    count = int(str(limit.expression))
    return keys.limit(count + 1).sql(dialect="sqlite"), count


def _sort_keys_query(tree: exp.Expr) -> str | None:
    keys = None if tree.args.get("limit") else _with_sort_keys(tree)
    return None if keys is None else keys.sql(dialect="sqlite")


def _with_sort_keys(tree: exp.Expr) -> exp.Select | None:
    """The query with the values that it sorts by in the place of what it selects."""
    if not isinstance(tree, exp.Select) or tree.args.get("offset") or tree.args.get("distinct"):
        return None
    if tree.args.get("order") is None:
        return None
    tree = tree.copy()
    aliases = {column.alias.lower(): column.this for column in tree.expressions if column.alias}
    for key in tree.args["order"].expressions:
        _without_aliases(key, aliases)
    tree.set("expressions", [key.this.copy() for key in tree.args["order"].expressions])
    return tree


def _without_aliases(key: exp.Expr, aliases: Mapping[str, exp.Expr]) -> None:
    """Put what they stand for in the place of aliases, which go with the selected columns."""
    for column in list(key.find_all(exp.Column)):
        if _is_bare(column) and column.name.lower() in aliases:
            column.replace(aliases[column.name.lower()].copy())


def _is_bare(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column) and not node.table
