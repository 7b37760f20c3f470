"""Text literals of a query and the column that each is compared with.

Used to measure value retrieval and to thin schemas. A query that sqlglot cannot parse has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from slmsql.schema.model import Schema
from slmsql.sql.parsing import parse_query

COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.Is, exp.Glob)


@dataclass(frozen=True, slots=True)
class TextLiteral:
    """A literal beside a column of a table, both names in lower case."""

    table: str
    column: str
    text: str


def text_literals(sql: str, schema: Schema) -> list[TextLiteral]:
    """The text literals whose column can be told, each once, in the order of the query."""
    tree = parse_query(sql)
    if tree is None:
        return []
    try:
        scopes = traverse_scope(tree)
    except (SqlglotError, RecursionError):  # names that cannot be resolved
        return []
    finder = _Finder(schema)
    return list(dict.fromkeys(found for scope in scopes for found in finder.literals(scope)))


class _Finder:
    """Looks up columns in the tables of a scope."""

    def __init__(self, schema: Schema) -> None:
        self.columns = {
            table.name.lower(): {column.name.lower() for column in table.columns}
            for table in schema.tables
        }

    def literals(self, scope: Scope) -> Iterator[TextLiteral]:
        for node in scope.walk():
            sides = list(_sides(node))
            texts = [text for side in sides if (text := self.text(side, scope)) is not None]
            if not texts:
                continue
            for side in sides:
                place = self.place(side, scope) if self.text(side, scope) is None else None
                if place is not None:
                    yield from (TextLiteral(*place, text) for text in texts)

    def text(self, node: exp.Expr, scope: Scope) -> str | None:
        """The text of a literal; of a name in double quotes too, where no column has it."""
        if isinstance(node, exp.Literal) and node.is_string:
            return str(node.this)
        if isinstance(node, exp.Column) and not node.table:
            is_quoted = isinstance(node.this, exp.Identifier) and node.this.quoted
            if is_quoted and self.place(node, scope) is None:
                return str(node.name)
        return None

    def place(self, node: exp.Expr, scope: Scope | None) -> tuple[str, str] | None:
        """Table and column of the first column in an expression, through derived tables."""
        column = node if isinstance(node, exp.Column) else node.find(exp.Column)
        if column is None or scope is None:
            return None
        sources = scope.sources
        named = [sources[column.table]] if column.table in sources else []
        for source in named or ([] if column.table else list(sources.values())):
            if (place := self.inside(source, column.name)) is not None:
                return place
        return self.place(column, scope.parent)

    def inside(self, source: exp.Expr | Scope, name: str) -> tuple[str, str] | None:
        if isinstance(source, exp.Table):
            table = source.name.lower()
            known = name.lower() in self.columns.get(table, ())
            return (table, name.lower()) if known else None
        if isinstance(source, Scope) and isinstance(source.expression, exp.Select):
            for item in source.expression.expressions:
                if item.alias_or_name.lower() == name.lower():
                    return self.place(item, source)
        return None


def _sides(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, COMPARISONS):
        yield from (node.left, node.right)
    elif isinstance(node, exp.In):
        yield from (node.this, *node.expressions)
    elif isinstance(node, exp.Between):
        yield from (node.this, node.args["low"], node.args["high"])
