"""Spider's four levels of difficulty: easy, medium, hard, extra."""

from slmsql.evaluation.spider.catalog import Catalog
from slmsql.evaluation.spider.grammar import NotInGrammar, Query, read_query


def hardness(sql: str, catalog: Catalog) -> str:
    """The level of a gold query; empty if it is outside Spider's grammar."""
    try:
        query = read_query(sql, catalog)
    except NotInGrammar:
        return ""
    return _level(_clauses(query), _subqueries(query), _others(query))


def _level(clauses: int, subqueries: int, others: int) -> str:
    """The level by the thresholds of Spider's evaluator."""
    if subqueries == 0:
        if clauses <= 1 and others == 0:
            return "easy"
        if (clauses <= 1 and others <= 2) or (clauses <= 2 and others < 2):
            return "medium"
        if (clauses <= 2 and others > 2) or (clauses == 3 and others <= 2):
            return "hard"
    if clauses <= 1 and others == 0 and subqueries <= 1:
        return "hard"
    return "extra"


def _clauses(query: Query) -> int:
    """Number of WHERE, GROUP BY, ORDER BY, LIMIT, joins, ORs and LIKEs."""
    clauses = (query.joins, query.where, query.having)
    present = (query.where.parts, query.group, query.order, query.limit)
    return (
        sum(map(bool, present))
        + max(0, len(query.tables) - 1)
        + sum(conditions.connectors.count("or") for conditions in clauses)
        + sum(part.operator == "like" for conditions in clauses for part in conditions.parts)
    )


def _subqueries(query: Query) -> int:
    """Number of subqueries in conditions and of set operations, at the outermost level."""
    parts = (*query.joins.parts, *query.where.parts, *query.having.parts)
    inner = (subquery for part in parts for subquery in part.subqueries)
    return sum(subquery is not None for subquery in inner) + (query.compound is not None)


def _others(query: Query) -> int:
    """How many of these occur more than once: aggregates, selected columns, conditions, groupings.

    As in the evaluator, each NOT of WHERE and HAVING and each connector of HAVING counts as an
    aggregate.
    """
    sort_keys = [key for value in query.order for key in (value.first, value.second) if key]
    aggregates = (
        sum(bool(aggregate) for aggregate, _ in query.select)
        + sum(part.negated for part in (*query.where.parts, *query.having.parts))
        + len(query.having.connectors)
        + sum(bool(column.aggregate) for column in (*query.group, *sort_keys))
    )
    counts = (aggregates, len(query.select), len(query.where.parts), len(query.group))
    return sum(count > 1 for count in counts)
