"""Near misses of a query: each differs from it in one place, as the mistakes of models do.

`SELECT max(age) FROM singer WHERE age > 30` gives `age >= 30`, `age > 31`, `min(age)`, the query
without WHERE, and so on. The operators follow Tuya et al. (2007), "Mutating database queries", and
Zhong et al. (arXiv 2010.02840), section 3.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from sqlglot import exp

from slmsql.sql.parsing import guarded, parsed
from slmsql.suites.neighbours.profile import Link, Profile, Table

MOST = 48  # mutants of a query
OTHER_COLUMNS = 2  # for each column
COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
AGGREGATES = (exp.Max, exp.Min, exp.Sum, exp.Avg)
SET_OPERATIONS = (exp.Union, exp.Intersect, exp.Except)

Change = tuple[str, exp.Expr]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A query that differs from the gold query in one place; `kind` says in what."""

    kind: str
    sql: str


def mutants(gold: str, profile: Profile) -> list[Mutant]:
    """At most `MOST` mutants, of all kinds in turn; none if the query cannot be parsed."""
    tree = parsed(gold)
    if tree is None:
        return []
    found = guarded(gold, _mutants, tree.copy(), profile) or []
    return _mixed(found, random.Random(gold))


def _mixed(found: Sequence[Mutant], rng: random.Random) -> list[Mutant]:
    stacks: dict[str, list[Mutant]] = {}
    for mutant in found:
        stacks.setdefault(mutant.kind, []).append(mutant)
    for stack in stacks.values():
        rng.shuffle(stack)
    chosen: list[Mutant] = []
    while len(chosen) < MOST and any(stacks.values()):
        chosen += [stack.pop() for stack in stacks.values() if stack]
    return chosen[:MOST]


def _mutants(tree: exp.Expr, profile: Profile) -> list[Mutant]:
    texts = {tree.sql(dialect="sqlite"): ""}
    for node in list(tree.walk()):
        for kind, changed in _changes(node, profile):
            texts.setdefault(_text_with(tree, node, changed), kind)
    return [Mutant(kind, sql) for sql, kind in texts.items() if kind]


def _text_with(tree: exp.Expr, node: exp.Expr, changed: exp.Expr) -> str:
    """The query with another node in the place of one; the tree stays as it was."""
    if node is tree:
        return changed.sql(dialect="sqlite")
    node.replace(changed)
    text: str = tree.sql(dialect="sqlite")
    changed.replace(node)
    return text


def _changes(node: exp.Expr, profile: Profile) -> Iterator[Change]:
    for kinds, change in CHANGES:
        if isinstance(node, kinds):
            yield from change(node)
    if isinstance(node, exp.Column):
        yield from _other_columns(node, profile)
        yield from _other_references(node, profile)
    if isinstance(node, exp.EQ):
        yield from _row_numbers(node, profile)
    if isinstance(node, exp.Select):
        yield from _more_joins(node, profile)


def _comparison(node: exp.Expr) -> Iterator[Change]:
    if isinstance(node.parent, exp.Join):
        return
    near: dict[type[exp.Expr], tuple[type[exp.Binary], ...]] = {
        exp.GT: (exp.GTE, exp.LT), exp.GTE: (exp.GT, exp.LTE), exp.LT: (exp.LTE, exp.GT),
        exp.LTE: (exp.LT, exp.GTE), exp.EQ: (exp.NEQ, exp.GTE, exp.LTE), exp.NEQ: (exp.EQ,),
    }  # fmt: skip
    for other in near[type(node)]:
        yield "comparison", other(this=node.this.copy(), expression=node.expression.copy())
    if isinstance(node, exp.EQ) and node.expression.is_string:
        pattern = exp.Literal.string(f"%{node.expression.this}%")
        yield "comparison", exp.Like(this=node.this.copy(), expression=pattern)


def _like(node: exp.Expr) -> Iterator[Change]:
    text = str(node.expression.this) if isinstance(node.expression, exp.Literal) else ""
    bare = text.strip("%")
    for other in (f"{bare}%", f"%{bare}", f"%{bare}%"):
        if bare and other != text:
            pattern = exp.Literal.string(other)
            yield "comparison", exp.Like(this=node.this.copy(), expression=pattern)
    if bare:
        equal = exp.Literal.string(bare)
        yield "comparison", exp.EQ(this=node.this.copy(), expression=equal)


def _between(node: exp.Expr) -> Iterator[Change]:
    value, low, high = node.this, node.args["low"], node.args["high"]
    for first, last in ((exp.GT, exp.LTE), (exp.GTE, exp.LT)):
        yield (
            "comparison",
            exp.And(
                this=first(this=value.copy(), expression=low.copy()),
                expression=last(this=value.copy(), expression=high.copy()),
            ),
        )


def _negation(node: exp.Expr) -> Iterator[Change]:
    """NOT dropped, as in `NOT IN` and `IS NOT NULL`."""
    yield "negation", node.this.copy()


def _negated(node: exp.Expr) -> Iterator[Change]:
    if not isinstance(node.parent, exp.Not):
        yield "negation", exp.Not(this=node.copy())


def _connector(node: exp.Expr) -> Iterator[Change]:
    other = exp.Or if isinstance(node, exp.And) else exp.And
    yield "connector", other(this=node.this.copy(), expression=node.expression.copy())
    yield "condition dropped", node.this.copy()
    yield "condition dropped", node.expression.copy()


def _literal(node: exp.Expr) -> Iterator[Change]:
    text = str(node.this)
    if isinstance(node.parent, exp.Limit | exp.Offset):
        if text.isdigit():
            yield "limit", exp.Literal.number(int(text) + 1)
    elif not node.is_string:
        number = float(text)
        for other in (number - 1, number + 1):
            value = int(other) if other.is_integer() else other
            yield "constant", exp.Literal.number(value)
    elif isinstance(node.parent, exp.Predicate | exp.In) and text.strip("%"):
        yield "constant", exp.Literal.string(text[:-1] if len(text) > 1 else f"{text}s")


def _aggregate(node: exp.Expr) -> Iterator[Change]:
    for other in AGGREGATES:
        if not isinstance(node, other) and not isinstance(node.this, exp.Distinct):
            yield "aggregate", other(this=node.this.copy())
    if not isinstance(node.parent, exp.Having):
        yield "aggregate", exp.Count(this=node.this.copy())


def _count(node: exp.Expr) -> Iterator[Change]:
    inner = node.this
    if isinstance(inner, exp.Distinct):
        yield "distinct", exp.Count(this=inner.expressions[0].copy())
    elif isinstance(inner, exp.Star):
        select = node.find_ancestor(exp.Select)
        for column in list(select.find_all(exp.Column) if select else [])[:2]:
            distinct = exp.Distinct(expressions=[column.copy()])
            yield "distinct", exp.Count(this=distinct)
    else:
        yield "distinct", exp.Count(this=exp.Distinct(expressions=[inner.copy()]))
        yield "aggregate", exp.Sum(this=inner.copy())


def _select(node: exp.Expr) -> Iterator[Change]:
    """Changes of a whole SELECT: DISTINCT, and clauses that are left out."""
    select = cast(exp.Select, node)
    distinct = None if select.args.get("distinct") else exp.Distinct()
    yield "distinct", _with(select, distinct=distinct)
    dropped = {
        "where": "condition dropped", "having": "condition dropped", "group": "grouping",
        "order": "order", "limit": "limit",
    }  # fmt: skip
    for clause, kind in dropped.items():
        if select.args.get(clause) is not None:
            yield kind, _with(select, **{clause: None})
    for index, _ in enumerate(select.args.get("joins") or []):
        joins = [join.copy() for i, join in enumerate(select.args["joins"]) if i != index]
        yield "join dropped", _with(select, joins=joins)
    if len(select.expressions) == 2:
        swapped = [expression.copy() for expression in select.expressions[::-1]]
        yield "columns swapped", _with(select, expressions=swapped)
    yield from _extreme(select)


def _extreme(select: exp.Select) -> Iterator[Change]:
    """`= (SELECT max(a) ...)` as `ORDER BY a DESC LIMIT 1`: they differ where rows tie."""
    where = select.args.get("where")
    test = where.this if where else None
    if not isinstance(test, exp.EQ) or not isinstance(test.expression, exp.Subquery):
        return
    function = test.expression.find(exp.Max, exp.Min)
    if function is not None and isinstance(test.this, exp.Column):
        desc = isinstance(function, exp.Max)
        key = exp.Ordered(this=test.this.copy(), desc=desc, nulls_first=not desc)
        changed = _with(select, where=None, order=exp.Order(expressions=[key]))
        yield "limit", changed.limit(1)


def _with(select: exp.Select, **arguments: object) -> exp.Select:
    changed = select.copy()
    for name, value in arguments.items():
        changed.set(name, value)
    return changed


def _ordered(node: exp.Expr) -> Iterator[Change]:
    desc = not node.args.get("desc")
    yield "order", exp.Ordered(this=node.this.copy(), desc=desc, nulls_first=not desc)


def _join(node: exp.Expr) -> Iterator[Change]:
    changed = node.copy()
    if node.args.get("side"):
        changed.set("side", None)
        changed.set("kind", None)
    else:
        changed.set("side", "LEFT")
    if node.args.get("on") is not None or node.args.get("using"):
        yield "join side", changed


def _set_operation(node: exp.Expr) -> Iterator[Change]:
    left, right = node.this, node.expression
    for other in SET_OPERATIONS:
        if not isinstance(node, other):
            yield "set operation", other(this=left.copy(), expression=right.copy(), distinct=True)
    yield "set operation", left.copy()
    if isinstance(node, exp.Except):
        yield (
            "set operation",
            exp.Except(this=right.copy(), expression=left.copy(), distinct=True),
        )
    elif isinstance(node, exp.Union):
        changed = node.copy()
        changed.set("distinct", not node.args.get("distinct"))
        yield "distinct", changed


def _other_columns(node: exp.Column, profile: Profile) -> Iterator[Change]:
    """Other columns of the same table and type in place of this one, outside of joins."""
    if node.find_ancestor(exp.Join) or isinstance(node.this, exp.Star):
        return
    table = _table_of(node, profile)
    position = table.position(node.name) if table else None
    if table is None or position is None:
        return
    kind = table.types[position]
    alike = [n for n, t in zip(table.columns, table.types, strict=True) if t == kind]
    start = alike.index(table.columns[position])
    for name in (alike[start + 1 :] + alike[:start])[:OTHER_COLUMNS]:
        changed = node.copy()
        changed.set("this", exp.to_identifier(name, quoted=True))
        yield "column", changed


def _other_references(node: exp.Column, profile: Profile) -> Iterator[Change]:
    """Another reference to the same table, such as the destination of a flight for its source."""
    table = _table_of(node, profile)
    position = table.position(node.name) if table else None
    for link in table.links if table else ():
        if link.columns == (position,) and table is not None:
            for other in table.links:
                if other.parent == link.parent and len(other.columns) == 1 and other != link:
                    changed = node.copy()
                    name = table.columns[other.columns[0]]
                    changed.set("this", exp.to_identifier(name, quoted=True))
                    yield "reference", changed


def _row_numbers(node: exp.EQ, profile: Profile) -> Iterator[Change]:
    """The number of a row for its name, written by a model that has seen the row: `id = 3`."""
    column, text = node.this, node.expression
    table = _table_of(column, profile) if isinstance(column, exp.Column) else None
    position = table.position(column.name) if table else None
    if table is None or position is None or not text.is_string:
        return
    named = [row for row in table.rows if str(row[position]).lower() == str(text.this).lower()]
    for key in (key[0] for key in table.keys if len(key) == 1):
        if len(named) == 1 and isinstance(named[0][key], int):
            changed = column.copy()
            changed.set("this", exp.to_identifier(table.columns[key], quoted=True))
            number = exp.Literal.number(named[0][key])
            yield "row number", exp.EQ(this=changed, expression=number)


def _table_of(column: exp.Column, profile: Profile) -> Table | None:
    select = column.find_ancestor(exp.Select)
    tables = list(select.find_all(exp.Table)) if select else []
    for node in tables:
        table = profile.table(node.name)
        named = not column.table or column.table.lower() == node.alias_or_name.lower()
        if named and table is not None and table.position(column.name) is not None:
            return table
    return None


def _more_joins(select: exp.Select, profile: Profile) -> Iterator[Change]:
    """A join too many, with a table that refers to the first one: rows repeat, or vanish."""
    source = select.args.get("from_")
    first = source.this if source is not None else None
    table = profile.table(first.name) if isinstance(first, exp.Table) else None
    if first is None or table is None:
        return
    present = {node.name.lower() for node in select.find_all(exp.Table)}
    for child in profile.tables:
        for link in child.links:
            if link.parent == table.name and child.name.lower() not in present:
                yield "join added", _joined(select, first.alias_or_name, table, child, link)
                return


def _joined(select: exp.Select, alias: str, table: Table, child: Table, link: Link) -> exp.Select:
    conditions = [
        exp.EQ(
            this=exp.column(table.columns[there], alias, quoted=True),
            expression=exp.column(child.columns[here], child.name, quoted=True),
        )
        for here, there in zip(link.columns, link.references, strict=True)
    ]
    other = exp.Table(this=exp.to_identifier(child.name, quoted=True))
    return select.copy().join(other, on=exp.and_(*conditions))


Changer = Callable[[exp.Expr], Iterator[Change]]
CHANGES: Sequence[tuple[tuple[type[exp.Expr], ...], Changer]] = (
    (COMPARISONS, _comparison),
    ((exp.Like,), _like),
    ((exp.Between,), _between),
    ((exp.Not,), _negation),
    ((exp.In, exp.Like, exp.Exists), _negated),
    ((exp.And, exp.Or), _connector),
    ((exp.Literal,), _literal),
    (AGGREGATES, _aggregate),
    ((exp.Count,), _count),
    ((exp.Select,), _select),
    ((exp.Ordered,), _ordered),
    ((exp.Join,), _join),
    (SET_OPERATIONS, _set_operation),
)
