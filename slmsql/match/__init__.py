"""Do two results agree? `same_result(predicted_rows, gold_rows, Match.BIRD)` says so.

In: two complete results, as rows. Out: True or False, by one of three rules. Imports `slmsql.sql`.
`soft_f1` has the partial score of results that do not agree.

| | bird | spider | strict |
|---|---|---|---|
| rows | a set | a bag | a bag |
| order of rows | free | as gold, if gold sorts at top level | as gold, if gold sorts at top level |
| order of columns | fixed | free | fixed |
| `1`, `1.0` | equal | equal | equal |
| `0.1 + 0.2`, `0.3` | different | different | equal (1e-9 relative) |
| `1`, `'1'` | different | different | different |
| both empty | equal | equal | equal if as many columns |

`bird` decides as BIRD's evaluator does, `spider` as Spider's test-suite evaluator does with its
default settings (DISTINCT removed from both queries, values not plugged in). `docs/judge.md` has
the complete table and lists where we differ on purpose.
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
    """The rule that decides whether a predicted result agrees with the gold result."""

    BIRD = "bird"
    SPIDER = "spider"
    STRICT = "strict"


def as_executed(sql: str, match: Match) -> str:
    """The statement to run in this mode: `spider` removes DISTINCT."""
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
        predicted: all rows of the prediction's result.
        gold: all rows of the gold query's result.
        match: the rule.
        ordered: whether the gold query sorts its rows (`orders_rows`); `bird` ignores it.
        widths: the number of columns of predicted and gold. Only `strict` uses it, to compare
            empty results.
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
    if match is Match.STRICT:
        predicted, gold = with_near_numbers_merged(predicted, gold)
        return list(predicted) == list(gold) if ordered else Counter(predicted) == Counter(gold)
    if ordered:
        return same_bag_of_columns(predicted, gold)
    return Counter(predicted) == Counter(gold) or same_bag_in_some_column_order(predicted, gold)
