"""What candidates disagreed about, in words that a person understands."""

import pytest

from slmsql.consistency.candidates import Candidate
from slmsql.consistency.voting import ResultGroup, group_by_result
from slmsql.execution import Status
from slmsql.server.disagreement import agreement, difference

CHOSEN = "SELECT name FROM singer WHERE age > 30"


def candidate(sql, digest="d", rows=3):
    return Candidate(sql, status=Status.OK, digest=digest, row_count=rows)


@pytest.mark.parametrize(
    ("sql", "rows", "words"),
    [
        (CHOSEN, 3, ""),
        ("SELECT name FROM singer WHERE age >= 30", 4, "keeps other rows; 4 rows instead of 3"),
        ("SELECT name FROM singer WHERE age > 40", 1, "keeps other rows; 1 row instead of 3"),
        ("SELECT name FROM song WHERE age > 30", 3, "reads other tables"),
        (
            "SELECT count(*), age FROM singer GROUP BY age",
            3,
            "has another number of columns; counts, sums or averages in another way",
        ),
        (
            "SELECT name FROM singer WHERE age > 30 LIMIT 3",
            3,
            "sorts or cuts the rows in another way",
        ),
        ("not SQL (", 3, "has other values"),
    ],
)
def test_a_group_is_told_apart_from_the_answer(sql, rows, words):
    group = ResultGroup((candidate(sql, rows=rows),), 1.0)
    assert difference(group, CHOSEN, 3) == words


def test_a_group_that_has_the_answer_among_its_members_is_not_told_apart():
    group = ResultGroup(
        (candidate("SELECT name FROM singer WHERE NOT age <= 30"), candidate(CHOSEN)), 2.0
    )
    assert difference(group, CHOSEN, 3) == ""


@pytest.mark.parametrize(
    ("digests", "failed", "words"),
    [
        ("aaaa", 0, "Nothing: the 4 candidates that ran have the same result."),
        ("aab", 1, "The 3 candidates that ran have 2 different results. 1 did not run."),
        ("a", 0, "One candidate ran, so there was nothing to compare."),
        ("", 2, "No candidate ran."),
    ],
)
def test_agreement_is_one_sentence(digests, failed, words):
    groups = group_by_result([candidate(CHOSEN, digest) for digest in digests])
    assert agreement(groups, len(digests) + failed) == words
