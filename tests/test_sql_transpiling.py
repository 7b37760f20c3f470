"""SQLite's queries for other engines: what SQLite alone allows is written so that all allow it."""

import pytest

from slmsql.sql.dialect import Dialect
from slmsql.sql.transpiling import from_sqlite

COLUMNS = {
    "t": {"id": False, "name": True, "year": False, "code": True},
    "u": {"id": False, "t_code": True},
}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ('SELECT Name FROM T WHERE name = "x"', "SELECT name FROM t WHERE name = 'x'"),
        ("SELECT id FROM t WHERE code = 3", "SELECT id FROM t WHERE code = '3'"),
        ("SELECT id FROM t WHERE code > -3", "SELECT id FROM t WHERE code > '-3'"),
        ("SELECT id FROM t WHERE year = '2014'", "SELECT id FROM t WHERE year = 2014"),
        ("SELECT id FROM t WHERE year IN ('1', 2)", "SELECT id FROM t WHERE year IN (1, 2)"),
        (
            "SELECT id FROM t WHERE code BETWEEN 1 AND 2",
            "SELECT id FROM t WHERE code BETWEEN '1' AND '2'",
        ),
        ("SELECT id FROM t WHERE name LIKE 'a%'", "SELECT id FROM t WHERE name ILIKE 'a%'"),
        (
            "SELECT id FROM t WHERE year LIKE '20%'",
            "SELECT id FROM t WHERE CAST(year AS TEXT) ILIKE '20%'",
        ),
        (
            "SELECT t.id FROM t JOIN u ON t.id = u.t_code",
            "SELECT t.id FROM t JOIN u ON CAST(t.id AS TEXT) = u.t_code",
        ),
        (
            "SELECT id FROM t WHERE id IN (SELECT t_code FROM u)",
            "SELECT id FROM t WHERE CAST(id AS TEXT) IN (SELECT t_code FROM u)",
        ),
        (
            "SELECT name FROM t WHERE code = (SELECT id FROM u)",
            "SELECT name FROM t WHERE code = (SELECT CAST(id AS TEXT) FROM u)",
        ),
        (
            "SELECT name, count(*) FROM t GROUP BY id",
            "SELECT MIN(name) AS name, COUNT(*) FROM t GROUP BY id",
        ),
        ("SELECT name, max(year) FROM t", "SELECT MIN(name) AS name, MAX(year) FROM t"),
        (
            "SELECT id FROM t GROUP BY id HAVING year > 1",
            "SELECT id FROM t GROUP BY id HAVING MIN(year) > 1",
        ),
        (
            "SELECT id FROM t GROUP BY id ORDER BY count(*) DESC LIMIT 1",
            "SELECT id FROM t GROUP BY id ORDER BY COUNT(*) DESC NULLS LAST,"
            " id DESC NULLS LAST LIMIT 1",
        ),
    ],
)
def test_a_query_keeps_its_meaning_in_postgres(sql, expected):
    assert from_sqlite(sql, Dialect.POSTGRES, COLUMNS) == expected


def test_mysql_and_duckdb_have_their_own_words():
    sql = "SELECT Name FROM T WHERE name LIKE 'a%'"
    assert from_sqlite(sql, Dialect.DUCKDB, COLUMNS) == "SELECT Name FROM T WHERE name ILIKE 'a%'"
    expected = "SELECT name FROM t WHERE LOWER(name) LIKE LOWER('a%')"
    assert from_sqlite(sql, Dialect.MYSQL, COLUMNS) == expected
    loose = "SELECT name, MAX(year) FROM t"
    assert from_sqlite(loose, Dialect.MYSQL, COLUMNS) == loose
