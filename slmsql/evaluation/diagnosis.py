"""Why an answer is wrong: one class for the table of errors, and all differences for the reader.

`SELECT max(age) FROM singer` against gold `SELECT min(age) FROM singer` is classed as
"aggregation". A prediction that failed is classed by its error. One that ran is compared with the
gold query part by part, coarse parts first: if the tables differ, most other parts differ too.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum

from sqlglot import exp

from slmsql.execution import Execution, Status
from slmsql.sql.parsing import guarded, parsed


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
    predicted: Execution, gold: Execution, differing: list[ErrorClass], *, ambiguous: bool
) -> ErrorClass:
    """The class of a wrong answer.

    Args:
        predicted: the execution of the prediction.
        gold: the execution of the gold query.
        differing: the differences between the two queries, coarse ones first.
        ambiguous: whether the gold query's LIMIT cuts between rows that sort equal.
    """
    if not predicted.ok:
        return STATUSES.get(predicted.status) or KINDS.get(
            predicted.kind or "", ErrorClass.OTHER_ERROR
        )
    if ambiguous:
        return ErrorClass.AMBIGUOUS_GOLD
    first = differing[0] if differing else ErrorClass.OTHER
    if first in (ErrorClass.TABLE, ErrorClass.JOIN, ErrorClass.COLUMN_COUNT):
        return first
    if predicted.row_count == 0 and gold.row_count > 0:
        return ErrorClass.EMPTY
    return first


def differences(predicted: str, gold: str) -> list[ErrorClass]:
    """All parts in which two queries differ, coarse ones first; none if one cannot be parsed."""
    predicted_tree, gold_tree = parsed(predicted), parsed(gold)
    if predicted_tree is None or gold_tree is None:
        return []
    return guarded(predicted + gold, _differing_parts, predicted_tree, gold_tree) or []


def _differing_parts(predicted: exp.Expr, gold: exp.Expr) -> list[ErrorClass]:
    differing = [part for part, read in PARTS.items() if read(predicted) != read(gold)]
    tables = _tables(predicted, gold)
    return list(dict.fromkeys(differing if tables is None else [tables, *differing]))


def _tables(predicted: exp.Expr, gold: exp.Expr) -> ErrorClass | None:
    """TABLE if the tables differ, JOIN if one query only adds tables to those of the other."""
    used = {table.name.lower() for table in predicted.find_all(exp.Table)}
    wanted = {table.name.lower() for table in gold.find_all(exp.Table)}
    if used == wanted:
        return None
    return ErrorClass.JOIN if used > wanted or used < wanted else ErrorClass.TABLE


def _projections(tree: exp.Expr) -> list[exp.Expr]:
    return list(tree.selects) if isinstance(tree, exp.Query) else []


def _column_count(tree: exp.Expr) -> object:
    return len(_projections(tree))


def _aggregates(tree: exp.Expr) -> object:
    return Counter(
        function.sql_name()
        for projection in _projections(tree)
        for function in projection.find_all(exp.AggFunc)
    )


def _columns(tree: exp.Expr) -> object:
    selects = tree.find_all(exp.Select)
    return Counter(_text(item.unalias()) for select in selects for item in select.expressions)


def _column_order(tree: exp.Expr) -> object:
    return [_text(projection.unalias()) for projection in _projections(tree)]


def _filters(tree: exp.Expr) -> object:
    clauses = list(tree.find_all(exp.Where, exp.Having))
    conditions = Counter(_text(part) for clause in clauses for part in _leaves(clause.this))
    return conditions, sum(len(list(clause.find_all(exp.Or))) for clause in clauses)


def _leaves(node: exp.Expr) -> Iterator[exp.Expr]:
    """The conditions between AND and OR. No recursion: models write thousands of them."""
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
    joins = list(tree.find_all(exp.Join))
    equalities = [
        ("on", *sorted((_text(equality.this), _text(equality.expression))))
        for join in joins
        if join.args.get("on") is not None
        for equality in join.args["on"].find_all(exp.EQ)
    ]
    return Counter(join.side for join in joins), Counter(equalities)


def _order(tree: exp.Expr) -> object:
    keys = [_text(key) for order in tree.find_all(exp.Order) for key in order.expressions]
    return keys, [limit.sql() for limit in tree.find_all(exp.Limit, exp.Offset)]


def _distinct(tree: exp.Expr) -> object:
    return len(list(tree.find_all(exp.Distinct)))


def _set_operations(tree: exp.Expr) -> object:
    return [type(node).__name__ for node in tree.find_all(exp.SetOperation)]


def _text(node: exp.Expr) -> str:
    """A part in one spelling, without the names of tables: they differ with every alias."""
    node = node.copy()
    for column in node.find_all(exp.Column):
        column.set("table", None)
    for identifier in node.find_all(exp.Identifier):
        identifier.set("quoted", False)
        identifier.set("this", identifier.name.lower())
    return node.sql(dialect="sqlite")


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
    ErrorClass.COLUMN_ORDER: _column_order,  # last: any other column changes it too
}
