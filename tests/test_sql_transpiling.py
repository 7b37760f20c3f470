"""SQLite's queries for other engines: what SQLite alone allows is written so that all allow it."""

import pytest

from slmsql.sql.dialect import Dialect
from slmsql.sql.transpiling import from_sqlite, to_sqlite, translated

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
        (
            "SELECT count(*) FILTER (WHERE name = 'x') FROM t",
            "SELECT COUNT(*) FILTER(WHERE name = 'x') FROM t",
        ),
        (
            "SELECT name, rank() OVER (ORDER BY id) FROM t",
            "SELECT name, RANK() OVER (ORDER BY id NULLS FIRST) FROM t",
        ),
        (
            "SELECT DATE(name, '-2 months') FROM t",
            "SELECT CAST(CAST(name AS TIMESTAMP) - INTERVAL '2 MONTH' AS DATE) FROM t",
        ),
        (
            "SELECT JULIANDAY(name) - 1 FROM t",
            "SELECT (EXTRACT(JULIAN FROM CAST(name AS TIMESTAMP)) - 0.5) - 1 FROM t",
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


@pytest.mark.parametrize(
    ("postgres", "sqlite"),
    [
        ("SELECT EXTRACT(YEAR FROM d) FROM t", "CAST(STRFTIME('%Y', d) AS INTEGER)"),
        ("SELECT DATE_TRUNC('month', d) FROM t", "DATE(d, 'start of month')"),
        ("SELECT d + INTERVAL '7 days' FROM t", "DATE(d, '+7 days')"),
        ("SELECT a::date - b::date FROM t", "CAST(JULIANDAY(DATE(a)) - JULIANDAY(DATE(b)) AS INT"),
    ],
)
def test_dates_of_postgresql_become_those_of_sqlite(postgres, sqlite):
    assert sqlite in to_sqlite(postgres, Dialect.POSTGRES)


def test_what_sqlglot_cannot_translate_is_none():
    for sql in ("", "SELECT FROM WHERE", "SELECT 1; DELETE FROM t", "(" * 9_000, "I cannot say"):
        assert translated(sql, Dialect.SQLITE, Dialect.POSTGRES, COLUMNS) is None
    assert translated("as it is", Dialect.MYSQL, Dialect.MYSQL, COLUMNS) == "as it is"
