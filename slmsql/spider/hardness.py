"""Spider's four levels: easy, medium, hard, extra."""

from slmsql.spider.catalog import Catalog
from slmsql.spider.grammar import NotInGrammar, Query, read_query


def hardness(sql: str, catalog: Catalog) -> str:
    """The level of a gold query; empty if it is beyond Spider's grammar."""
    try:
        query = read_query(sql, catalog)
    except NotInGrammar:
        return ""
    return _level(_clauses(query), _subqueries(query), _others(query))


def _level(clauses: int, subqueries: int, others: int) -> str:
    """The thresholds of the evaluator."""
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
    """WHERE, GROUP BY, ORDER BY, LIMIT, each join, each OR and each LIKE."""
    conditions = (query.joins, query.where, query.having)
    present = (query.where.parts, query.group, query.order, query.limit)
    return (
        sum(map(bool, present))
        + max(0, len(query.tables) - 1)
        + sum(one.connectors.count("or") for one in conditions)
        + sum(part.operator == "like" for one in conditions for part in one.parts)
    )


def _subqueries(query: Query) -> int:
    conditions = (query.joins, query.where, query.having)
    inner = (found for one in conditions for part in one.parts for found in part.subqueries)
    return sum(found is not None for found in inner) + (query.compound is not None)


def _others(query: Query) -> int:
    """More than one of: aggregates, selected columns, conditions, grouped columns.

    The evaluator's count of aggregates also takes each NOT of WHERE and HAVING and each connector
    of HAVING for one; so it is done here.
    """
    sorted_by = [one for value in query.order for one in (value.first, value.second) if one]
    aggregates = (
        sum(bool(aggregate) for aggregate, _ in query.select)
        + sum(part.negated for part in (*query.where.parts, *query.having.parts))
        + len(query.having.connectors)
        + sum(bool(column.aggregate) for column in (*query.group, *sorted_by))
    )
    many = (aggregates, len(query.select), len(query.where.parts), len(query.group))
    return sum(count > 1 for count in many)
