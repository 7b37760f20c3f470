"""Which values stand together in a row, and which cannot."""

import pytest

from slmsql.suites.neighbours.combinations import NO_RULES, read_rules, shared_rules

CARS = [("Tesla", "Model S"), ("Tesla", "Model 3"), ("Honda", "Civic")] * 3
MESSAGES = [("unread", None), ("read", "10:15"), ("kept", "11:30"), ("read", "12:45")] * 3
PEOPLE = [(year, 2020 - year) for year in (1950, 1961, 1975, 1988, 1990, 2001)]
ORDERS = [(2, 1.25, 2.5), (3, 0.75, 2.25), (1, 7.0, 7.0), (5, 0.5, 2.5), (4, 2.99, 11.96)]
MATCHES = [(home, away) for home in "abc" for away in "abc" if home != away] * 2
DAYS = [(1990 + n, f"{1990 + n}-0{n + 1}-11") for n in range(6)]


@pytest.mark.parametrize(
    ("rows", "possible", "impossible"),
    [
        (CARS, ("Tesla", "Model 3"), ("Honda", "Model S")),
        (CARS, ("Honda", "Jazz"), ("Tesla", "Civic")),
        (MESSAGES, ("read", "23:59"), ("read", None)),
        (MESSAGES, ("lost", "23:59"), ("unread", "23:59")),
        (PEOPLE, (1980, 40), (1980, 10)),
        (PEOPLE, (1920, 95), (1920, 5)),
        (PEOPLE, (None, 5), (2010, "old")),
        (ORDERS, (10, 1.5, 15.0), (10, 1.5, 16.0)),
        (ORDERS, (10, None, 16.0), (0, 1.5, 1.5)),
        (MATCHES, ("a", "d"), ("a", "a")),
        (MATCHES, (None, None), ("c", "c")),
        (DAYS, (1993, "1993-12-24"), (1993, "1994-01-01")),
    ],
)
def test_a_row_may_be_new_but_not_break_what_all_others_keep(rows, possible, impossible):
    rules = read_rules(rows)
    assert all(map(rules.allow, rows))
    assert rules.allow(possible)
    assert not rules.allow(impossible)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("Tesla", "Model S"), ("Honda", "Civic")],  # no model repeats
        [("Tesla", "Model S"), ("Tesla", "Model S")],  # nor can any other make stand there
        [(1950, 70), (1961, 59), (1975, 45), (1988, 32)],  # four in order are chance
        [(1, 1, 1), (2, 2, 4), (3, 3, 9)],
        [(None, None)] * 9,
        [(b"\0", "a"), (1, None), ("x", 2.5)] * 2,
    ],
)
def test_few_or_odd_rows_show_no_rule_that_forbids_others(rows):
    rules = read_rules(rows)
    assert all(map(rules.allow, rows))
    assert rules.allow(("Honda", "Model S", 7))


def test_without_rules_any_row_is_allowed():
    assert NO_RULES.allow((1, None, "x"))


def test_columns_of_the_same_names_keep_their_rules_in_all_tables():
    customers = [("Ann", "London", "UK"), ("Bob", "Paris", "France"), ("Cid", "London", "UK")] * 2
    suppliers = [("Berlin", "Germany"), ("Rome", "Italy")]
    own = [read_rules(customers), read_rules(suppliers)]
    assert own[1].allow(("London", "Italy"))
    _, shared = shared_rules(
        [(("name", "City", "Country"), customers, own[0]), (("city", "country"), suppliers, own[1])]
    )
    assert shared.allow(("London", "UK"))
    assert shared.allow(("Oslo", "Norway"))
    assert not shared.allow(("London", "Italy"))


def test_columns_of_the_same_names_that_disagree_share_no_rule():
    homes = [("London", "UK")] * 4
    others = [("London", "Canada"), ("Rome", "Italy")] * 3
    own = [read_rules(homes), read_rules(others)]
    columns = ("city", "country")
    shared, _ = shared_rules([(columns, homes, own[0]), (columns, others, own[1])])
    assert shared.allow(("London", "Canada"))
    assert shared.allow(("Oslo", "Norway"))
