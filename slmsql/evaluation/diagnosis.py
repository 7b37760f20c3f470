"""Why an answer is wrong: one class for the table, all differences for the reader.

What did not run is classed by its error. What ran is compared with the gold query part by part,
coarse parts first: with other tables everything behind them differs too.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum

from sqlglot import exp

from slmsql.execution import Execution, Status
from slmsql.sql.parsing import parsed


class ErrorClass(StrEnum):
    """The first difference that explains a wrong answer."""

    NO_SQL = "no SQL"
    SYNTAX = "syntax"
    NO_SUCH_NAME = "no such column or table"
    OTHER_ERROR = "other error"
    TIMEOUT = "timeout"
    TOO_LARGE = "result too large"
    REFUSED = "refused"
    AMBIGUOUS_GOLD = "ambiguous gold suspected"
    TABLE = "wrong table"
    JOIN = "join"
    COLUMN_COUNT = "missing or extra column"
    AGGREGATION = "aggregation"
    FILTER = "wrong filter or value"
    GROUPING = "grouping"
    ORDER = "order or limit"
    DISTINCT = "duplicates"
    COLUMN_ORDER = "order of columns"
    COLUMN = "wrong column"
    SET_OPERATION = "set operation"
    EMPTY = "empty"
    OTHER = "other"


KINDS = {
    "syntax": ErrorClass.SYNTAX,
    "no such table": ErrorClass.NO_SUCH_NAME,
    "no such column": ErrorClass.NO_SUCH_NAME,
    "ambiguous": ErrorClass.NO_SUCH_NAME,
    "empty": ErrorClass.NO_SQL,
}
STATUSES = {
    Status.TIMEOUT: ErrorClass.TIMEOUT,
    Status.TOO_LARGE: ErrorClass.TOO_LARGE,
    Status.REFUSED: ErrorClass.REFUSED,
}


def error_class(
    predicted: Execution, gold: Execution, found: list[ErrorClass], *, ambiguous: bool
) -> ErrorClass:
    """The class of a wrong answer.

    Args:
        predicted: what became of it.
        gold: what became of the gold query.
        found: the differences between both queries.
        ambiguous: whether the gold result is one of several that fit its own query.
    """
    if not predicted.ok:
        return STATUSES.get(predicted.status) or KINDS.get(
            predicted.kind or "", ErrorClass.OTHER_ERROR
        )
    if ambiguous:
        return ErrorClass.AMBIGUOUS_GOLD
    if found and found[0] in (ErrorClass.TABLE, ErrorClass.JOIN, ErrorClass.COLUMN_COUNT):
        return found[0]
    if predicted.row_count == 0 and gold.row_count > 0:
        return ErrorClass.EMPTY
    return found[0] if found else ErrorClass.OTHER


def differences(predicted: str, gold: str) -> list[ErrorClass]:
    """All parts in which two queries differ, coarse ones first; none if one cannot be parsed."""
    mine, theirs = parsed(predicted), parsed(gold)
    if mine is None or theirs is None:
        return []
    found = [_tables(mine, theirs)]
    for kind, part in PARTS.items():
        found.append(kind if part(mine) != part(theirs) else None)
    return list(dict.fromkeys(kind for kind in found if kind is not None))


def tie_query(gold: str) -> tuple[str, int] | None:
    """A query for what the gold query sorts by, one row beyond its LIMIT, and that LIMIT.

    If the last row within the limit and the first behind it are equal there, then chance decides
    which of them the gold result has. None where nothing is cut off.
    """
    tree = parsed(gold)
    if not isinstance(tree, exp.Select) or tree.args.get("offset") or tree.args.get("distinct"):
        return None
    order, limit = tree.args.get("order"), tree.args.get("limit")
    if order is None or limit is None or not str(limit.expression).isdigit():
        return None
    tree, count = tree.copy(), int(str(limit.expression))
    aliases = {one.alias.lower(): one.this for one in tree.expressions if one.alias}
    keys = [
        aliases.get(one.this.name.lower(), one.this) if _is_bare(one.this) else one.this
        for one in order.expressions
    ]
    tree.set("expressions", [key.copy() for key in keys])
    return tree.limit(count + 1).sql(dialect="sqlite"), count


def _is_bare(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column) and not node.table


def _tables(mine: exp.Expr, theirs: exp.Expr) -> ErrorClass | None:
    """Other tables, or the same with one joined too many or too few."""
    first, second = (Counter(t.name.lower() for t in x.find_all(exp.Table)) for x in (mine, theirs))
    if set(first) == set(second):
        return None
    more, fewer = set(first) >= set(second), set(first) <= set(second)
    return ErrorClass.JOIN if more or fewer else ErrorClass.TABLE


def _projections(tree: exp.Expr) -> list[exp.Expr]:
    return list(tree.selects) if isinstance(tree, exp.Query) else []


def _column_count(tree: exp.Expr) -> object:
    return len(_projections(tree))


def _aggregates(tree: exp.Expr) -> object:
    return Counter(
        function.sql_name() for one in _projections(tree) for function in one.find_all(exp.AggFunc)
    )


def _columns(tree: exp.Expr) -> object:
    selects = tree.find_all(exp.Select)
    return Counter(_text(one.unalias()) for select in selects for one in select.expressions)


def _column_order(tree: exp.Expr) -> object:
    return [_text(one.unalias()) for one in _projections(tree)]


def _filters(tree: exp.Expr) -> object:
    clauses = list(tree.find_all(exp.Where, exp.Having))
    conditions = Counter(_text(part) for clause in clauses for part in _leaves(clause.this))
    return conditions, sum(len(list(clause.find_all(exp.Or))) for clause in clauses)


def _leaves(node: exp.Expr) -> Iterator[exp.Expr]:
    """The conditions between AND and OR; without recursion, as models write thousands of them."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, exp.Paren):
            waiting.append(node.this)
        elif isinstance(node, exp.Connector):
            waiting += [node.left, node.right]
        else:
            yield node


def _groups(tree: exp.Expr) -> object:
    return Counter(
        column.name.lower() for group in tree.find_all(exp.Group) for column in group.expressions
    )


def _joins(tree: exp.Expr) -> object:
    conditions = [join.args.get("on") for join in tree.find_all(exp.Join)]
    return Counter(
        (join.side, len(list(tree.find_all(exp.Join)))) for join in tree.find_all(exp.Join)
    ) + Counter(
        ("on", *sorted((_text(part.this), _text(part.expression))))
        for condition in conditions
        if condition is not None
        for part in condition.find_all(exp.EQ)
    )


def _order(tree: exp.Expr) -> object:
    sorts = [_text(one) for order in tree.find_all(exp.Order) for one in order.expressions]
    return sorts, [limit.sql() for limit in tree.find_all(exp.Limit, exp.Offset)]


def _distinct(tree: exp.Expr) -> object:
    return len(list(tree.find_all(exp.Distinct)))


def _set_operations(tree: exp.Expr) -> object:
    return [type(node).__name__ for node in tree.find_all(exp.SetOperation)]


def _text(node: exp.Expr) -> str:
    """A part in one spelling: without tables' names, which differ with every alias."""
    return _spelled(node.copy()).sql(dialect="sqlite")


def _spelled(node: exp.Expr) -> exp.Expr:
    for column in node.find_all(exp.Column):
        column.set("table", None)
    for identifier in node.find_all(exp.Identifier):
        identifier.set("quoted", False)
        identifier.set("this", identifier.name.lower())
    return node


PARTS: dict[ErrorClass, Callable[[exp.Expr], object]] = {
    ErrorClass.COLUMN_COUNT: _column_count,
    ErrorClass.AGGREGATION: _aggregates,
    ErrorClass.FILTER: _filters,
    ErrorClass.GROUPING: _groups,
    ErrorClass.ORDER: _order,
    ErrorClass.COLUMN: _columns,
    ErrorClass.DISTINCT: _distinct,
    ErrorClass.JOIN: _joins,
    ErrorClass.SET_OPERATION: _set_operations,
    ErrorClass.COLUMN_ORDER: _column_order,  # last: it differs with every other column too
}
