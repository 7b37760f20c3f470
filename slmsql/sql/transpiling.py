"""Queries for another engine: sqlglot translates, and rules of ours keep the meaning.

    from_sqlite("SELECT name FROM t WHERE year = '2014' GROUP BY id", Dialect.POSTGRES, columns)
    # SELECT MIN(name) FROM t WHERE year = 2014 GROUP BY id
    to_sqlite("SELECT EXTRACT(YEAR FROM d) FROM t", Dialect.POSTGRES)
    # SELECT CAST(STRFTIME('%Y', d) AS INTEGER) FROM t

SQLite takes liberties that others refuse, and queries are full of them: a text in double quotes, a
number compared with a text, LIKE without case, columns beside aggregates that GROUP BY does not
list. The rules need to know which columns hold texts. Dates need rules in both directions.
"""

import re
from collections.abc import Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel

from slmsql.sql.dialect import Dialect
from slmsql.sql.parsing import guarded

# By table and column in lower case: whether the column holds texts, and so not numbers.
TextColumns = Mapping[str, Mapping[str, bool]]
COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
SHIFT = re.compile(r"([+-]?)\s*(\d+) (day|month|year)s?")  # of a date in SQLite: '+7 days'
DATE_PARTS = {"YEAR": "%Y", "MONTH": "%m", "DAY": "%d"}


def translated(sql: str, source: Dialect, target: Dialect, columns: TextColumns) -> str | None:
    """Any text as a query for another engine; None if sqlglot cannot translate it.

    Args:
        sql: perhaps from a model.
        source: the dialect in which it is written.
        target: the dialect to translate to.
        columns: the tables of the database, for queries from SQLite.
    """
    return sql if source is target else guarded(sql, _translate, sql, source, target, columns)


def _translate(sql: str, source: Dialect, target: Dialect, columns: TextColumns) -> str:
    statements = sqlglot.parse(sql, read=source)
    tree = statements[0] if len(statements) == 1 else None
    if tree is None:  # several must stay refused, and not become their first statement
        raise ValueError("not one statement")
    if source is Dialect.SQLITE:
        return _from_sqlite(tree, target, columns)
    return _to_sqlite(tree) if target is Dialect.SQLITE else _written(tree, target)


def from_sqlite(sql: str, dialect: Dialect, columns: TextColumns) -> str:
    """Translate a query. The caller checks that it runs.

    Args:
        sql: a query that runs on SQLite.
        dialect: the other engine's.
        columns: the tables of the database.

    Raises:
        sqlglot.errors.SqlglotError: sqlglot cannot parse the query.
    """
    return _from_sqlite(sqlglot.parse_one(sql, read="sqlite"), dialect, columns)


def _from_sqlite(tree: exp.Expr, dialect: Dialect, columns: TextColumns) -> str:
    names = {name for table in columns.values() for name in table}
    for column in list(tree.find_all(exp.Column)):
        if not column.table and column.this.quoted and column.name.lower() not in names:
            column.replace(exp.Literal.string(column.name))
    for select in list(tree.find_all(exp.Select)):
        _rewrite(select, columns, dialect)
    for call in list(tree.find_all(exp.Anonymous)):
        _fit_date(call, dialect)
    if dialect is not Dialect.DUCKDB:
        _lower_names(tree)
    return _written(tree, dialect)


def _written(tree: exp.Expr, dialect: Dialect) -> str:
    return tree.sql(dialect=dialect, unsupported_level=ErrorLevel.IGNORE)


def _fit_date(call: exp.Anonymous, dialect: Dialect) -> None:
    """Translate `DATE(d, '+7 days')` and `JULIANDAY(d)`."""
    name, arguments = call.name.upper(), call.expressions
    if name == "JULIANDAY" and len(arguments) == 1:
        call.replace(_julian_day(exp.cast(arguments[0].copy(), "timestamp"), dialect))
    elif name == "DATE" and len(arguments) == 2:
        shift = SHIFT.fullmatch(arguments[1].name)
        if shift is not None:
            sign, count, unit = shift.groups()
            step = exp.Interval(this=exp.Literal.string(count), unit=exp.var(unit))
            change = exp.Sub if sign == "-" else exp.Add
            day = exp.cast(arguments[0].copy(), "timestamp")
            call.replace(exp.cast(change(this=day, expression=step), "date"))


def _julian_day(moment: exp.Expr, dialect: Dialect) -> exp.Expr:
    """SQLite's begins at noon, those of PostgreSQL and DuckDB at midnight; MySQL counts days."""
    if dialect is Dialect.MYSQL:
        days: exp.Expr = exp.Anonymous(this="TO_DAYS", expressions=[moment])
        return exp.paren(exp.Add(this=days, expression=exp.Literal.number("1721059.5")))
    days = exp.Extract(this=exp.var("JULIAN"), expression=moment)
    return exp.paren(exp.Sub(this=days, expression=exp.Literal.number("0.5")))


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
    found = [node for part in parts for node in _own(part, exp.AggFunc, select)]
    has_aggregate = any(_is_aggregate(node) for node in found)
    if group is None and not has_aggregate:
        return
    keys: list[exp.Expr] = group.expressions if group else []
    grouped = {key.sql().lower() for key in keys}
    grouped |= {key.name.lower() for key in keys if isinstance(key, exp.Column) and not key.table}
    aliases = {part.alias.lower() for part in select.expressions if part.alias}
    for part in parts:
        for column in _own(part, exp.Column, select):
            is_grouped = column.sql().lower() in grouped or column.name.lower() in grouped
            if not is_grouped and not column.find_ancestor(exp.AggFunc, exp.Window, exp.Filter):
                if not column.table and column.name.lower() in aliases:
                    continue
                if isinstance(column.this, exp.Star):
                    continue
                in_list = column.parent is select and column.arg_key == "expressions"
                bare = exp.Min(this=column.copy())
                column.replace(exp.alias_(bare, column.name) if in_list else bare)


def _is_aggregate(node: exp.Expr) -> bool:
    """Whether a function makes one row of many, and is no window function (`... OVER (...)`)."""
    parent = node.parent
    while isinstance(parent, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        parent = parent.parent
    return not isinstance(parent, exp.Window)


def _own(part: exp.Expr, kinds: Any, select: exp.Select) -> list[Any]:
    """The nodes of some kinds that belong to this SELECT and not to one inside it."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    return [node for node in part.find_all(*kinds) if node.find_ancestor(exp.Select) is select]


def to_sqlite(sql: str, dialect: Dialect) -> str:
    """Translate a query to SQLite. The caller checks that it runs.

    Raises:
        sqlglot.errors.SqlglotError: sqlglot cannot parse the query.
    """
    return sql if dialect is Dialect.SQLITE else _to_sqlite(sqlglot.parse_one(sql, read=dialect))


def _to_sqlite(tree: exp.Expr) -> str:
    tree = tree.transform(_date_part).transform(_date_arithmetic)
    return _written(tree, Dialect.SQLITE)


def _date_part(node: exp.Expr) -> exp.Expr:
    """Translate `EXTRACT(YEAR FROM d)` and `DATE_TRUNC('month', d)`."""
    if isinstance(node, exp.Extract) and node.name.upper() in DATE_PARTS:
        text = exp.func(
            "STRFTIME", exp.Literal.string(DATE_PARTS[node.name.upper()]), node.expression
        )
        return exp.cast(text, "INT")
    if isinstance(node, exp.TimestampTrunc | exp.DateTrunc) and node.text("unit") in DATE_PARTS:
        start = exp.Literal.string(f"start of {node.text('unit').lower()}")
        return exp.func("DATE", node.this, start)
    return node


def _date_arithmetic(node: exp.Expr) -> exp.Expr:
    """Translate `d + INTERVAL '7 days'`, and `a::date - b::date`, a number of days."""
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Interval):
        sign = "+" if isinstance(node, exp.Add) else "-"
        interval = node.expression
        step = exp.Literal.string(f"{sign}{interval.name} {interval.text('unit').lower()}")
        return exp.func("DATE", node.this, step)
    if isinstance(node, exp.Sub) and _is_date(node.left) and _is_date(node.right):
        days = [exp.Anonymous(this="JULIANDAY", expressions=[d]) for d in (node.left, node.right)]
        return exp.cast(exp.Sub(this=days[0], expression=days[1]), "INT")
    return node


def _is_date(node: exp.Expr) -> bool:
    return isinstance(node, exp.Cast) and node.to.is_type("date")
