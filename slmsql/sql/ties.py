"""Ties: does the LIMIT of a query cut between rows that sort equal?"""

from sqlglot import exp

from slmsql.sql.parsing import guarded, parsed


def tie_query(gold: str) -> tuple[str, int] | None:
    """A query for the values that the gold query sorts by, one row past its LIMIT; and the LIMIT.

    If the last row within the limit equals the first row past it, the gold query does not say
    which of the two belongs to its result. None if the gold query cuts nothing off.
    """
    tree = parsed(gold)
    return None if tree is None else guarded(gold, _tie_query, tree)


def _tie_query(tree: exp.Expr) -> tuple[str, int] | None:
    if not isinstance(tree, exp.Select) or tree.args.get("offset") or tree.args.get("distinct"):
        return None
    order, limit = tree.args.get("order"), tree.args.get("limit")
    if order is None or limit is None or not str(limit.expression).isdigit():
        return None
    tree, count = tree.copy(), int(str(limit.expression))
    aliases = {column.alias.lower(): column.this for column in tree.expressions if column.alias}
    keys = [
        aliases.get(key.this.name.lower(), key.this) if _is_bare(key.this) else key.this
        for key in order.expressions
    ]
    tree.set("expressions", [key.copy() for key in keys])
    return tree.limit(count + 1).sql(dialect="sqlite"), count


def _is_bare(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column) and not node.table
