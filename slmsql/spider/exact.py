"""Exact-set match: the same parts in each clause, constants and most order aside."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from slmsql.spider.catalog import Catalog
from slmsql.spider.grammar import Column, Condition, Conditions, NotInGrammar, Query, Value
from slmsql.spider.grammar import read_query as _read


def same_sets(predicted: str, gold: str, catalog: Catalog) -> bool | None:
    """Whether two queries are the same to Spider's evaluator; None if it cannot read the gold."""
    try:
        wanted = _read(gold, catalog)
    except NotInGrammar:
        return None
    try:
        found = _read(predicted, catalog)
    except NotInGrammar:
        return False
    return _same(_merged(found, catalog), _merged(wanted, catalog))


def _merged(query: Query, catalog: Catalog) -> Query:
    """Columns tied by foreign keys become one, DISTINCT is dropped; subqueries stay as they are."""
    tables = {table for table in query.tables if isinstance(table, str)}

    def column(one: Column) -> Column:
        tied = one.name.partition(".")[0] in tables
        return Column(one.aggregate, catalog.same.get(one.name, one.name) if tied else one.name)

    def value(one: Value) -> Value:
        return Value(one.operator, column(one.first), one.second and column(one.second))

    def conditions(many: Conditions) -> Conditions:
        parts = tuple(replace(part, value=value(part.value)) for part in many.parts)
        return Conditions(parts, many.connectors)

    def query_(one: Query) -> Query:
        return replace(
            one,
            distinct=False,
            select=tuple((aggregate, value(chosen)) for aggregate, chosen in one.select),
            joins=conditions(one.joins),
            where=conditions(one.where),
            group=tuple(map(column, one.group)),
            having=conditions(one.having),
            order=tuple(map(value, one.order)),
            compound=one.compound and (one.compound[0], query_(one.compound[1])),
        )

    return query_(query)


def _same(mine: Query, theirs: Query) -> bool:
    return (
        Counter(mine.select) == Counter(theirs.select)
        and Counter(mine.where.parts) == Counter(theirs.where.parts)
        and set(mine.where.connectors) == set(theirs.where.connectors)
        and _same_groups(mine, theirs)
        and _same_order(mine, theirs)
        and _keywords(mine) == _keywords(theirs)
        and _same_compound(mine, theirs)
        and Counter(mine.tables) == Counter(theirs.tables)
    )


def _same_groups(mine: Query, theirs: Query) -> bool:
    """HAVING counts only where there is a GROUP BY."""
    if not mine.group and not theirs.group:
        return True
    names = [[one.name for one in query.group] for query in (mine, theirs)]
    return names[0] == names[1] and mine.having == theirs.having


def _same_order(mine: Query, theirs: Query) -> bool:
    if not mine.order and not theirs.order:
        return True
    return (mine.order, mine.direction, mine.limit) == (
        theirs.order,
        theirs.direction,
        theirs.limit,
    )


def _same_compound(mine: Query, theirs: Query) -> bool:
    if mine.compound is None or theirs.compound is None:
        return mine.compound is theirs.compound
    return mine.compound[0] == theirs.compound[0] and _same(mine.compound[1], theirs.compound[1])


def _keywords(query: Query) -> set[str]:
    parts: list[Condition] = []
    connectors: list[str] = []
    for conditions in (query.joins, query.where, query.having):
        parts += conditions.parts
        connectors += conditions.connectors
    return {
        *_if("where", query.where.parts),
        *_if("group", query.group),
        *_if("having", query.having.parts),
        *_if("order " + query.direction, query.order),
        *_if("limit", query.limit),
        *_if("or", "or" in connectors),
        *_if("not", any(part.negated for part in parts)),
        *({part.operator for part in parts} & {"in", "like"}),
    }


def _if(word: str, present: object) -> Iterable[str]:
    return [word] if present else []
