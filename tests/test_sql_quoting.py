"""Names are quoted so that SQLite reads back exactly the name that was meant."""

import sqlite3

import pytest

from slmsql.sql.quoting import quote_identifier, quote_if_needed

NAMES = ["plain", "two words", 'a "quoted" one', "select", "2nd", "größe", "a-b", "", "x.y", "'"]


@pytest.mark.parametrize("quote", [quote_identifier, quote_if_needed])
@pytest.mark.parametrize("name", NAMES)
def test_sqlite_reads_back_the_name(quote, name):
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE t ({quote(name)} TEXT)")
        assert connection.execute("SELECT name FROM pragma_table_info('t')").fetchone() == (name,)


def test_a_plain_name_stays_bare():
    assert quote_if_needed("stadium_id") == "stadium_id"
