"""When do two results agree? One table of cases, and where the three modes part."""

import random
import time
from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmsql.match import Match, as_executed, orders_rows, same_result

BIRD, SPIDER, STRICT = Match.BIRD, Match.SPIDER, Match.STRICT
ALL, NONE = {BIRD, SPIDER, STRICT}, set()

CASES = [
    # predicted, gold, modes that agree when gold does not sort
    ("the same", [(1, "a")], [(1, "a")], ALL),
    ("another value", [(1, "a")], [(1, "b")], NONE),
    ("both empty", [], [], ALL),
    ("empty against a row", [], [(1,)], NONE),
    ("a row against empty", [(1,)], [], NONE),
    ("a row of NULL against empty", [(None,)], [], NONE),
    ("rows in another order", [(1,), (2,)], [(2,), (1,)], ALL),
    ("a row twice", [(1,), (1,)], [(1,)], {BIRD}),
    ("another row twice", [(1,), (1,), (2,)], [(1,), (2,), (2,)], {BIRD}),
    ("columns in another order", [(1, "a"), (2, "b")], [("a", 1), ("b", 2)], {SPIDER}),
    ("columns paired otherwise", [(1, "a"), (2, "b")], [("b", 1), ("a", 2)], NONE),
    ("a column more", [(1, 2)], [(1,)], NONE),
    ("a column twice", [(1, 1, 2)], [(1, 2, 2)], NONE),
    ("whole and real", [(1,)], [(1.0,)], ALL),
    ("minus zero", [(-0.0,)], [(0,)], ALL),
    ("number and text", [(1,)], [("1",)], NONE),
    ("text and blob", [("a",)], [(b"a",)], NONE),
    ("NULL and empty text", [(None,)], [("",)], NONE),
    ("NULL and zero", [(None,)], [(0,)], NONE),
    ("NULL and NULL", [(None, 1)], [(None, 1)], ALL),
    ("capital letters", [("a",)], [("A",)], NONE),
    ("trailing space", [("a ",)], [("a",)], NONE),
    ("a sum added up otherwise", [(0.1 + 0.2,)], [(0.3,)], {STRICT}),
    ("a number off by a millionth", [(1.000001,)], [(1.0,)], NONE),
    ("neighbouring large ids", [(10**12,)], [(10**12 + 1,)], NONE),
    ("a large id as real", [(10**12,)], [(1e12,)], ALL),
    ("beyond exact reals", [(2**53 + 1,)], [(float(2**53),)], {STRICT}),
    ("infinities", [(float("inf"),)], [(float("-inf"),)], NONE),
    ("the same infinity", [(float("inf"),)], [(float("inf"),)], ALL),
    ("near numbers in two rows", [(0.1 + 0.2, 1), (0.3, 2)], [(0.3, 1), (0.1 + 0.2, 2)], {STRICT}),
    ("near numbers and a wrong partner", [(0.1 + 0.2, 1)], [(0.3, 2)], NONE),
    ("bits of a row moved", [("a', 'b", "c")], [("a", "b', 'c")], NONE),
]
CASE_NAMES = [case for case, *_ in CASES]


@pytest.mark.parametrize("match", Match)
@pytest.mark.parametrize(("case", "predicted", "gold", "agree"), CASES, ids=CASE_NAMES)
def test_results_agree_where_the_table_says_so(case, predicted, gold, agree, match):
    assert same_result(predicted, gold, match) is (match in agree)


@pytest.mark.parametrize("match", Match)
@pytest.mark.parametrize(("case", "predicted", "gold", "agree"), CASES, ids=CASE_NAMES)
def test_agreement_does_not_depend_on_which_is_gold(case, predicted, gold, agree, match):
    assert same_result(gold, predicted, match) is (match in agree)


def test_order_counts_where_gold_sorts_except_in_bird():
    up, down = [(1, "a"), (2, "b")], [(2, "b"), (1, "a")]
    for match in Match:
        assert same_result(up, down, match, ordered=True) is (match is BIRD)
        assert same_result(up, list(up), match, ordered=True)


def test_sorted_rows_may_still_have_their_columns_in_another_order_in_spider():
    gold = [("a", 1), ("b", 2)]
    assert same_result([(1, "a"), (2, "b")], gold, SPIDER, ordered=True)
    assert not same_result([(2, "b"), (1, "a")], gold, SPIDER, ordered=True)
    assert not same_result([(1, "a"), (2, "b")], gold, STRICT, ordered=True)


def test_strict_tells_empty_results_apart_by_their_columns():
    for match in Match:
        assert same_result([], [], match, widths=(2, 2))
        assert same_result([], [], match, widths=(1, 2)) is (match is not STRICT)


def test_strict_order_survives_numbers_added_up_otherwise():
    assert same_result([(0.1 + 0.2,), (1,)], [(0.3,), (1.0,)], STRICT, ordered=True)
    assert not same_result([(1,), (0.1 + 0.2,)], [(0.3,), (1,)], STRICT, ordered=True)


values = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["", "a", 0.5, 1.0]))


@st.composite
def pairs_of_tables(draw):
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.tuples(*[values] * width), min_size=1, max_size=5))
    order = draw(st.permutations(range(width)))
    other = [tuple(row[i] for i in order) for row in draw(st.permutations(rows))]
    if draw(st.booleans()):
        row, column = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, width - 1))
        other[row] = (*other[row][:column], draw(values), *other[row][column + 1 :])
    return rows, other


@given(pairs_of_tables())
def test_a_column_order_is_found_whenever_there_is_one(tables):
    """Against the definition: try every permutation."""
    predicted, gold = tables
    width = len(gold[0])
    expected = any(
        Counter(tuple(row[i] for i in order) for row in predicted) == Counter(gold)
        for order in permutations(range(width))
    )
    assert same_result(predicted, gold, SPIDER) is expected


@given(pairs_of_tables())
def test_a_column_order_is_found_for_sorted_rows_too(tables):
    predicted, gold = tables
    expected = any(
        [tuple(row[i] for i in order) for row in predicted] == gold
        for order in permutations(range(len(gold[0])))
    )
    assert same_result(predicted, gold, SPIDER, ordered=True) is expected


@pytest.mark.parametrize(
    "rows",
    [
        [tuple(range(30))],
        [(0,) * 30] * 50,
        [tuple(random.Random(n).choices("ab", k=24)) for n in range(400)],
        [tuple(int(i == j) for j in range(25)) for i in range(25)],
        [tuple(int(bool(i & (1 << j))) for j in range(10)) for i in range(1024)],
    ],
    ids=["one row", "all equal", "two values", "unit matrix", "all bit patterns"],
)
def test_many_columns_are_matched_without_trying_all_orders(rows):
    order = random.Random(7).sample(range(len(rows[0])), len(rows[0]))
    shuffled = [tuple(row[i] for i in order) for row in rows]
    random.Random(8).shuffle(shuffled)
    started = time.process_time()
    assert same_result(shuffled, rows, SPIDER)
    assert time.process_time() - started < 5


def test_a_table_built_to_resist_gets_its_verdict_in_time():
    """Edges of two strongly regular graphs, alike in every count: rook's and Shrikhande's."""
    cells = [(i, j) for i in range(4) for j in range(4)]
    rook = {(i, j) for i in range(4) for j in range(4) if (i == 0) != (j == 0)}
    shrikhande = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}

    def edges(steps):
        found = set()
        for i, j in cells:
            found |= {frozenset({(i, j), ((i + a) % 4, (j + b) % 4)}) for a, b in steps}
        return [tuple(int(cell in edge) for cell in cells) for edge in found]

    started = time.process_time()
    assert not same_result(edges(rook), edges(shrikhande), SPIDER)
    assert same_result([row[::-1] for row in edges(rook)], edges(rook), SPIDER)
    assert time.process_time() - started < 20


SORTS = [
    ("SELECT a FROM t ORDER BY a", True),
    ("SELECT a FROM t ORDER  BY a", True),
    ("SELECT a FROM t order\n\tby a LIMIT 1", True),
    ("SELECT a FROM t ORDER /* c */ BY a", True),
    ("WITH c AS (SELECT 1) SELECT * FROM c ORDER BY 1", True),
    ("SELECT a FROM t UNION SELECT b FROM u ORDER BY 1", True),
    ("SELECT a FROM (SELECT a FROM t ORDER BY b LIMIT 1)", False),
    ("SELECT a FROM t WHERE b = (SELECT b FROM t ORDER BY b LIMIT 1)", False),
    ("SELECT rank() OVER (ORDER BY a) FROM t", False),
    ("SELECT 'order by', \"order by\" FROM t", False),
    ("SELECT a FROM t -- order by a", False),
    ("SELECT a FROM orders WHERE by = 1", False),
    ("SELECT a FROM `order by`", False),
]


@pytest.mark.parametrize(("sql", "sorts"), SORTS)
def test_a_query_sorts_if_its_top_level_does(sql, sorts):
    assert orders_rows(sql) is sorts


AS_SPIDER_RUNS = [
    ("SELECT DISTINCT a FROM t", "SELECT  a FROM t"),
    ("SELECT count(DISTINCT a)", "SELECT count( a)"),
    ("SELECT count(DISTINCT(a))", "SELECT count((a))"),
    ("SELECT 'distinct', \"distinct\"", "SELECT 'distinct', \"distinct\""),
    ("SELECT a -- not distinct", "SELECT a -- not distinct"),
    ("SELECT a WHERE b > = 1 OR c < = 2 OR d ! = 3", "SELECT a WHERE b >= 1 OR c <= 2 OR d != 3"),
    ("SELECT a WHERE b = '> ='", "SELECT a WHERE b = '> ='"),
    ("SELECT YEAR ( CURDATE() ) - a", "SELECT 2020 - a"),
    ("SELECT 'YEAR(CURDATE())'", "SELECT 'YEAR(CURDATE())'"),
    ("SELECT a > 1", "SELECT a > 1"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "run"), AS_SPIDER_RUNS)
def test_spider_runs_a_statement_without_distinct_and_leaves_literals_alone(sql, run):
    assert as_executed(sql, SPIDER) == run
    assert as_executed(sql, BIRD) == as_executed(sql, STRICT) == sql


@given(st.text(alphabet="ab'\"`[]-/* \n;().,1=<>!", max_size=40))
def test_any_text_survives_the_tokenizer(text):
    assert as_executed(text.replace(" =", "="), SPIDER) == text.replace(" =", "=")
    assert orders_rows(text) is False


def test_the_tokenizer_takes_linear_time():
    for text in ("'" * 50_000, "/*" * 50_000, '"a' * 50_000, "(" * 50_000, "- " * 50_000):
        started = time.process_time()
        orders_rows(text + " order by distinct > =")
        as_executed(text + " order by distinct > =", SPIDER)
        assert time.process_time() - started < 2
