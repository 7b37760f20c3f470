"""The text literals of a query and the columns that they are compared with.

They measure value retrieval: a prompt should show each literal of the gold query.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from slmsql.schema.model import Schema
from slmsql.sql.parsing import guarded, parse_query

COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.Is, exp.Glob)


@dataclass(frozen=True, slots=True)
class TextLiteral:
    """A text literal and the column that it is compared with; both names are in lower case."""

    table: str
    column: str
    text: str


def text_literals(sql: str, schema: Schema) -> list[TextLiteral]:
    """The text literals whose column is certain, each once, in the order of the query.

    A query that cannot be parsed, or whose names cannot be resolved in time, has none.
    """
    tree = parse_query(sql)
    return [] if tree is None else guarded(sql, _literals_of_tree, tree, schema) or []


def _literals_of_tree(tree: exp.Expr, schema: Schema) -> list[TextLiteral]:
    finder = _LiteralFinder(schema)
    scopes = traverse_scope(tree)
    return list(dict.fromkeys(literal for scope in scopes for literal in finder.literals(scope)))


class _LiteralFinder:
    """Finds the column of each literal in the tables of its scope."""

    def __init__(self, schema: Schema) -> None:
        self._columns = {
            table.name.lower(): {column.name.lower() for column in table.columns}
            for table in schema.tables
        }

    def literals(self, scope: Scope) -> Iterator[TextLiteral]:
        for node in scope.walk():
            operands = list(_operands(node))
            texts = [self._text(operand, scope) for operand in operands]
            if all(text is None for text in texts):
                continue
            for operand, text in zip(operands, texts, strict=True):
                place = self._place(operand, scope) if text is None else None
                if place is not None:
                    yield from (TextLiteral(*place, other) for other in texts if other is not None)

    def _text(self, node: exp.Expr, scope: Scope) -> str | None:
        """The text of a literal, or of a name in double quotes that is not a column."""
        if isinstance(node, exp.Literal) and node.is_string:
            return str(node.this)
        if isinstance(node, exp.Column) and not node.table:
            is_quoted = isinstance(node.this, exp.Identifier) and node.this.quoted
            if is_quoted and self._place(node, scope) is None:
                return str(node.name)
        return None

    def _place(self, node: exp.Expr, scope: Scope | None) -> tuple[str, str] | None:
        """Table and column of the first column in an expression, also through subqueries."""
        column = node if isinstance(node, exp.Column) else node.find(exp.Column)
        if column is None or scope is None:
            return None
        if column.table in scope.sources:
            sources = [scope.sources[column.table]]
        else:
            sources = [] if column.table else list(scope.sources.values())
        for source in sources:
            if (place := self._place_in_source(source, column.name)) is not None:
                return place
        return self._place(column, scope.parent)

    def _place_in_source(self, source: exp.Expr | Scope, name: str) -> tuple[str, str] | None:
        """Table and column behind a name that a table, a subquery or a CTE offers."""
        if isinstance(source, exp.Table):
            table = source.name.lower()
            has_column = name.lower() in self._columns.get(table, ())
            return (table, name.lower()) if has_column else None
        if isinstance(source, Scope) and isinstance(source.expression, exp.Select):
            for item in source.expression.expressions:
                if item.alias_or_name.lower() == name.lower():
                    return self._place(item, source)
        return None


def _operands(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, COMPARISONS):
        yield from (node.left, node.right)
    elif isinstance(node, exp.In):
        yield from (node.this, *node.expressions)
    elif isinstance(node, exp.Between):
        yield from (node.this, node.args["low"], node.args["high"])
