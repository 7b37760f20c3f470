"""SQLite's queries for another engine: sqlglot translates, and rules of ours keep the meaning.

    from_sqlite("SELECT name FROM t WHERE year = '2014' GROUP BY id", Dialect.POSTGRES, columns)
    # SELECT MIN(name) FROM t WHERE year = 2014 GROUP BY id

SQLite takes liberties that others refuse, and queries are full of them: a text in double quotes, a
number compared with a text, LIKE without case, columns beside aggregates that GROUP BY does not
list. The rules need to know which columns hold texts.
"""

from collections.abc import Mapping
from typing import Any

import sqlglot
from sqlglot import exp

from slmsql.sql.dialect import Dialect

# By table and column in lower case: whether the column holds texts, and so not numbers.
TextColumns = Mapping[str, Mapping[str, bool]]
COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


def from_sqlite(sql: str, dialect: Dialect, columns: TextColumns) -> str:
    """Translate a query. The caller checks that it runs.

    Args:
        sql: a query that runs on SQLite.
        dialect: the other engine's.
        columns: the tables of the database.

    Raises:
        sqlglot.errors.SqlglotError: sqlglot cannot parse the query.
    """
    tree = sqlglot.parse_one(sql, read="sqlite")
    names = {name for table in columns.values() for name in table}
    for column in list(tree.find_all(exp.Column)):
        if not column.table and column.this.quoted and column.name.lower() not in names:
            column.replace(exp.Literal.string(column.name))
    for select in list(tree.find_all(exp.Select)):
        _rewrite(select, columns, dialect)
    if dialect is not Dialect.DUCKDB:
        _lower_names(tree)
    return tree.sql(dialect=dialect)


def _lower_names(tree: exp.Expr) -> None:
    """Names in lower case, as the tables of a copy have them."""
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.lower())


def _rewrite(select: exp.Select, columns: TextColumns, dialect: Dialect) -> None:
    scope = _Scope(select, columns)
    for node in _own(select, exp.Like, select):
        _ignore_case(node, scope)
    for node in _own(select, (*COMPARISONS, exp.In, exp.Between), select):
        _fit_types(node, scope)
    _break_ties(select)
    if dialect is Dialect.MYSQL:  # it adds up texts and takes any row's value, as SQLite does
        _fit_mysql(select)
        return
    for node in _own(select, (exp.Sum, exp.Avg), select):
        if scope.holds_texts(node.this):
            node.set("this", _as_number(node.this))
    _aggregate_bare_columns(select)


class _Scope:
    """Which columns of a SELECT hold texts."""

    def __init__(self, select: exp.Select, columns: TextColumns) -> None:
        tables = _own(select, exp.Table, select)
        self.columns = columns
        self.tables = {t.alias_or_name.lower(): columns.get(t.name.lower(), {}) for t in tables}

    def holds_texts(self, node: exp.Expr | None) -> bool | None:
        """Whether an expression is a text and not a number; None if that is not known."""
        if isinstance(node, exp.Sum | exp.Avg | exp.Count):
            return False
        if isinstance(node, exp.Paren | exp.Max | exp.Min):
            return self.holds_texts(node.this)
        if isinstance(node, exp.Subquery | exp.Select):
            inner = _first_select(node)
            if inner is None:
                return None
            return _Scope(inner, self.columns).holds_texts(inner.expressions[0])
        if not isinstance(node, exp.Column):
            return None
        name = node.name.lower()
        tables = [self.tables.get(node.table.lower(), {})] if node.table else self.tables.values()
        kinds = {table[name] for table in tables if name in table}
        return kinds.pop() if len(kinds) == 1 else None


def _first_select(node: exp.Expr) -> exp.Select | None:
    """The SELECT of a subquery with one column; None if it is something else."""
    select = node.find(exp.Select)
    return select if select is not None and len(select.expressions) == 1 else None


def _fit_types(node: exp.Expr, scope: _Scope) -> None:
    """Compare texts with texts: SQLite compares anything, other engines do not."""
    names = ("this", "expression", "low", "high", "query")
    sides: list[exp.Expr] = [node.args[name] for name in names if node.args.get(name)]
    sides += node.expressions
    kinds = [scope.holds_texts(side) for side in sides]
    known = {kind for kind in kinds if kind is not None}
    if len(known) == 2:
        for side, kind in zip(sides, kinds, strict=True):
            if kind is False:
                _cast_to_text(side)
    elif known:
        is_text = known.pop()
        for side in sides:
            if isinstance(side, exp.Literal | exp.Neg):
                _fit_literal(side, is_text)


def _cast_to_text(node: exp.Expr) -> None:
    inner = _first_select(node) if isinstance(node, exp.Subquery | exp.Select) else None
    target = inner.expressions[0] if inner else node
    target.replace(exp.cast(target.copy(), "text"))


def _as_number(node: exp.Expr) -> exp.Expr:
    """A text's number; 0 if it is none, as in SQLite (which also takes a number at its start)."""
    text = exp.cast(node.copy(), "text")
    pattern = exp.Literal.string(r"^-?[0-9]+([.][0-9]+)?$")
    is_number = exp.RegexpLike(this=text, expression=pattern)
    absent = exp.Is(this=node.copy(), expression=exp.Null())
    case = exp.Case().when(is_number, exp.cast(text.copy(), "double")).when(absent, exp.Null())
    return case.else_(exp.Literal.number(0))


def _fit_mysql(select: exp.Select) -> None:
    """Averages with all digits, not four; and a name for each subquery that is a table."""
    for average in _own(select, exp.Avg, select):
        if not isinstance(average.this, exp.Distinct):
            average.set("this", exp.cast(average.this, "double"))
    for number, table in enumerate(_own(select, exp.Subquery, select), start=1):
        if isinstance(table.parent, exp.From | exp.Join) and not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(f"part_{number}")))


def _break_ties(select: exp.Select) -> None:
    """Sort groups that are equal under ORDER BY and cut by LIMIT by their keys.

    SQLite does not promise that order, but without an index it is how its sorter leaves them.
    """
    group, order = select.args.get("group"), select.args.get("order")
    if group is None or order is None or select.args.get("limit") is None:
        return
    is_descending = bool(order.expressions[-1].args.get("desc"))
    for key in group.expressions:
        order.append("expressions", exp.Ordered(this=key.copy(), desc=is_descending))


def _fit_literal(literal: exp.Expr, is_text: bool) -> None:
    text = literal.this.name if isinstance(literal, exp.Neg) else literal.name
    if is_text and not literal.is_string:
        sign = "-" if isinstance(literal, exp.Neg) else ""
        literal.replace(exp.Literal.string(sign + text))
    elif not is_text and literal.is_string:
        try:
            float(text)
        except ValueError:
            return
        literal.replace(exp.Literal.number(text))


def _ignore_case(like: exp.Like, scope: _Scope) -> None:
    if scope.holds_texts(like.this) is False:
        like.this.replace(exp.cast(like.this.copy(), "text"))
    like.replace(exp.ILike(this=like.this.copy(), expression=like.expression.copy()))


def _aggregate_bare_columns(select: exp.Select) -> None:
    """Wrap columns that stand beside aggregates and not in GROUP BY in MIN().

    SQLite takes the value of any row of the group. Nearly always all rows have the same.
    """
    group = select.args.get("group")
    parts = [*select.expressions, *(select.args.get("order") or exp.Order()).expressions]
    if having := select.args.get("having"):
        parts.append(having)
    has_aggregate = any(_own(part, exp.AggFunc, select) for part in parts)
    if group is None and not has_aggregate:
        return
    keys: list[exp.Expr] = group.expressions if group else []
    grouped = {key.sql().lower() for key in keys}
    grouped |= {key.name.lower() for key in keys if isinstance(key, exp.Column) and not key.table}
    aliases = {part.alias.lower() for part in select.expressions if part.alias}
    for part in parts:
        for column in _own(part, exp.Column, select):
            is_grouped = column.sql().lower() in grouped or column.name.lower() in grouped
            if not is_grouped and not column.find_ancestor(exp.AggFunc, exp.Window):
                if not column.table and column.name.lower() in aliases:
                    continue
                if isinstance(column.this, exp.Star):
                    continue
                in_list = column.parent is select and column.arg_key == "expressions"
                bare = exp.Min(this=column.copy())
                column.replace(exp.alias_(bare, column.name) if in_list else bare)


def _own(part: exp.Expr, kinds: Any, select: exp.Select) -> list[Any]:
    """The nodes of some kinds that belong to this SELECT and not to one inside it."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    return [node for node in part.find_all(*kinds) if node.find_ancestor(exp.Select) is select]
