"""Rules that columns keep without declaring them."""

import pytest

from slmsql.suites.neighbours.habits import (
    are_counts,
    are_row_numbers,
    determines,
    is_closed,
    is_rising,
    never_exceeds,
)


def test_columns_that_determine_each_other_stay_together():
    countries = ["Italy", "Italy", "France", "France", "Spain", "Spain"] * 3
    codes = [country[:2] for country in countries]
    assert determines(countries, codes)
    assert not determines(countries, [*codes[:-1], "XX"])
    assert not determines(["a", "b", "c"], [1, 2, 3])  # without repeats it may be chance


@pytest.mark.parametrize(
    ("dates", "rising"),
    [
        ([f"2020-01-{day:02}" for day in range(1, 9)], True),
        ([f"2020-01-{day:02}" for day in (1, 2, 3, 5, 4, 6, 7, 8)], False),
        (["2020-01-01"] * 8, False),  # nothing rises
        ([f"Town {number}" for number in range(8)], False),  # sorted by chance of their names
        ([*(f"2020-01-{day:02}" for day in range(1, 8)), None], False),
    ],
)
def test_dates_rise_with_row_numbers_if_all_do_so(dates, rising):
    assert is_rising(range(1, 9), dates) is rising


@pytest.mark.parametrize(
    ("first", "second", "ordered"),
    [
        (list(range(12)), list(range(2, 14)), True),
        (list(range(5)), list(range(2, 7)), True),
        (list(range(4)), list(range(2, 6)), False),  # may be chance
        (list(range(12)), list(range(100, 112)), False),  # values apart, as ages and weights
        ([*range(11), 99], list(range(2, 14)), False),
        (["2020-01-01"] * 11 + ["2020-05-01"], ["2020-02-01"] * 11 + ["2020-06-01"], True),
        ([*range(11), "x"], list(range(2, 14)), False),
    ],
)
def test_a_column_is_never_above_another_if_their_values_mix(first, second, ordered):
    assert never_exceeds(first, second) is ordered


def test_numbers_count_rows_if_all_of_them_do():
    assert are_counts([(1, 2), (2, 1), (3, 0), (4, 1), (5, 0)], [1, 1, 2, 4, None])
    assert not are_counts([(1, 2), (2, 1), (3, 0), (4, 1), (5, 1)], [1, 1, 2, 4])
    assert not are_counts([(1, 1), (2, 1), (3, 0), (4, 1), (5, 0)], [1, 2, 4])  # only 0 and 1
    assert not are_counts([(1, 2), (2, 1), (3, 0), (4, 1), (5, 0)], [1, 1, 2, 4, 9])  # 9 is no row


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ([1, 2, 3, 4, 5], True),  # in the order of the rows
        ([7, 3, 1, 6, 2, 10, 4, 8, 5, 9], True),  # none is missing
        ([3, 1, 2, 5, 4], False),  # five may be chance
        ([812, 34, 5, 90210, 77, 4000], False),  # populations hardly repeat
        ([1, 2, 3, 4, 4], False),
        (["1", "2", "3", "4", "5"], False),
    ],
)
def test_row_numbers_never_repeat_where_by_chance_some_would(values, numbers):
    assert are_row_numbers(values) is numbers


def test_a_column_is_closed_if_each_of_its_values_occurs_again():
    assert is_closed([0, 1] * 5)
    assert is_closed([None, *["M", "F"] * 5])
    assert is_closed([0, 1, 1, 0, 1])  # a flag
    assert not is_closed([0, 1, 1, 0])  # too few to tell
    assert not is_closed([0, 1, 2] * 3)
    assert not is_closed([*range(20, 40), *range(20, 39)])  # 39 stands alone: 40 may follow
