"""Exact-set match: the same parts in each clause. Constants and, mostly, order do not matter."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from slmsql.evaluation.spider.catalog import Catalog
from slmsql.evaluation.spider.grammar import (
    Column,
    Condition,
    Conditions,
    NotInGrammar,
    Query,
    Value,
    read_query,
)


def same_sets(predicted: str, gold: str, catalog: Catalog) -> bool | None:
    """Whether Spider's evaluator calls two queries the same; None if it cannot read the gold."""
    try:
        gold_query = read_query(gold, catalog)
    except NotInGrammar:
        return None
    try:
        predicted_query = read_query(predicted, catalog)
    except NotInGrammar:
        return False
    return _same(
        _Merger(predicted_query, catalog).query(predicted_query),
        _Merger(gold_query, catalog).query(gold_query),
    )


class _Merger:
    """Replaces columns linked by foreign keys by the first of them and removes DISTINCT.

    As in the evaluator, this applies to the tables of the outermost query, and subqueries stay as
    they are.
    """

    def __init__(self, query: Query, catalog: Catalog) -> None:
        self.tables = {table for table in query.tables if isinstance(table, str)}
        self.catalog = catalog

    def query(self, query: Query) -> Query:
        return replace(
            query,
            distinct=False,
            select=tuple((aggregate, self.value(value)) for aggregate, value in query.select),
            joins=self.conditions(query.joins),
            where=self.conditions(query.where),
            group=tuple(map(self.column, query.group)),
            having=self.conditions(query.having),
            order=tuple(map(self.value, query.order)),
            compound=query.compound and (query.compound[0], self.query(query.compound[1])),
        )

    def conditions(self, conditions: Conditions) -> Conditions:
        parts = tuple(replace(part, value=self.value(part.value)) for part in conditions.parts)
        return Conditions(parts, conditions.connectors)

    def value(self, value: Value) -> Value:
        second = value.second and self.column(value.second)
        return Value(value.operator, self.column(value.first), second)

    def column(self, column: Column) -> Column:
        name = column.name
        if name.partition(".")[0] in self.tables:
            name = self.catalog.same.get(name, name)
        return Column(column.aggregate, name)


def _same(predicted: Query, gold: Query) -> bool:
    return (
        Counter(predicted.select) == Counter(gold.select)
        and Counter(predicted.where.parts) == Counter(gold.where.parts)
        and set(predicted.where.connectors) == set(gold.where.connectors)
        and _same_groups(predicted, gold)
        and _same_order(predicted, gold)
        and _keywords(predicted) == _keywords(gold)
        and _same_compound(predicted, gold)
        and Counter(predicted.tables) == Counter(gold.tables)
    )


def _same_groups(predicted: Query, gold: Query) -> bool:
    """HAVING matters only if there is a GROUP BY."""
    if not predicted.group and not gold.group:
        return True
    predicted_names = [column.name for column in predicted.group]
    gold_names = [column.name for column in gold.group]
    return predicted_names == gold_names and predicted.having == gold.having


def _same_order(predicted: Query, gold: Query) -> bool:
    """Direction and LIMIT matter only if there is an ORDER BY."""
    if not predicted.order and not gold.order:
        return True
    return (
        predicted.order == gold.order
        and predicted.direction == gold.direction
        and predicted.limit == gold.limit
    )


def _same_compound(predicted: Query, gold: Query) -> bool:
    if predicted.compound is None or gold.compound is None:
        return predicted.compound is gold.compound
    predicted_operator, predicted_query = predicted.compound
    gold_operator, gold_query = gold.compound
    return predicted_operator == gold_operator and _same(predicted_query, gold_query)


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
