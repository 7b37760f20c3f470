"""When do two results agree? Three modes, one for each question that is asked of a result.

| | bird | spider | strict |
|---|---|---|---|
| rows | a set | a bag | a bag |
| order of rows | free | as gold, if gold sorts at top level | as gold, if gold sorts at top level |
| order of columns | fixed | free | fixed |
| `1`, `1.0` | equal | equal | equal |
| `0.1 + 0.2`, `0.3` | different | different | equal (1e-9 relative) |
| `1`, `'1'` | different | different | different |
| both empty | equal | equal | equal if as many columns |

`bird` decides as BIRD's evaluator, `spider` as Spider's test-suite evaluator in its default
setting (DISTINCT left out of both queries, values not plugged in). `docs/judge.md` has the whole
table and where ours differs on purpose.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from enum import StrEnum

from slmsql.match.columns import same_bag_in_some_column_order, same_bag_of_columns
from slmsql.match.numbers import with_near_numbers_merged
from slmsql.sql.tokens import for_spider, orders_rows

__all__ = ["Match", "as_executed", "orders_rows", "same_result"]

Rows = Sequence[tuple[Hashable, ...]]


class Match(StrEnum):
    """The rule by which a predicted result counts as the gold result."""

    BIRD = "bird"
    SPIDER = "spider"
    STRICT = "strict"


def as_executed(sql: str, match: Match) -> str:
    """The statement that is run for this mode: `spider` leaves DISTINCT out."""
    return for_spider(sql) if match is Match.SPIDER else sql


def same_result(
    predicted: Rows,
    gold: Rows,
    match: Match,
    *,
    ordered: bool = False,
    widths: tuple[int, int] | None = None,
) -> bool:
    """Whether two complete results agree.

    Args:
        predicted: the rows of the prediction.
        gold: the rows of the gold query.
        match: the rule.
        ordered: whether the gold query asks for an order (`orders_rows`); `bird` does not care.
        widths: how many columns both have, for `strict`, which tells empty results apart.
    """
    if match is Match.BIRD:
        return set(predicted) == set(gold)
    if len(predicted) != len(gold):
        return False
    if match is Match.STRICT and widths is not None and widths[0] != widths[1]:
        return False
    if not gold:
        return True
    if len(predicted[0]) != len(gold[0]):
        return False
    return (
        _spider(predicted, gold, ordered)
        if match is Match.SPIDER
        else _strict(predicted, gold, ordered)
    )


def _spider(predicted: Rows, gold: Rows, ordered: bool) -> bool:
    if ordered:
        return same_bag_of_columns(predicted, gold)
    return Counter(predicted) == Counter(gold) or same_bag_in_some_column_order(predicted, gold)


def _strict(predicted: Rows, gold: Rows, ordered: bool) -> bool:
    predicted, gold = with_near_numbers_merged(predicted, gold)
    if ordered:
        return list(predicted) == list(gold)
    return Counter(predicted) == Counter(gold)
