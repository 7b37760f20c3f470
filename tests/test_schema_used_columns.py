"""Which part of a schema some queries use."""

import pytest

from slmsql.execution import create_database
from slmsql.schema.reading import read_schema
from slmsql.schema.used_columns import used_schema


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    create_database(
        path,
        """
        CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
        CREATE TABLE "order" (
            id INTEGER PRIMARY KEY, buyer INTEGER REFERENCES customer (id), "ship to" TEXT, day TEXT
        );
        CREATE TABLE log (line TEXT, level TEXT);
        CREATE TABLE "Match" (home TEXT, away TEXT, goals INTEGER);
        """,
    )
    return read_schema(path)


def used(schema, *queries):
    return {
        table.name: [column.name for column in table.columns]
        for table in used_schema(schema, queries).tables
    }


def test_tables_and_columns_of_all_queries_are_kept_with_their_keys(schema):
    queries = ("SELECT name FROM customer", 'SELECT day FROM "order"')
    assert used(schema, *queries) == {
        "customer": ["id", "name"],
        "order": ["id", "buyer", "day"],
    }


@pytest.mark.parametrize("name", ['"order"', "`order`", "[order]", '"ORDER"'])
def test_quoted_names_are_found_in_each_way_of_quoting(schema, name):
    """Upstream compares names with their quotes on and loses such tables."""
    assert "order" in used(schema, f"SELECT day FROM {name}")
    assert "ship to" in used(schema, f'SELECT "ship to" FROM {name}')["order"]


def test_a_table_that_is_only_counted_stays(schema):
    """Upstream keeps tables by their columns and loses these."""
    assert used(schema, 'SELECT COUNT(*) FROM "Match"') == {"Match": ["home", "away", "goals"]}
    assert used(schema, "SELECT COUNT(*) FROM customer") == {"customer": ["id"]}


def test_aliases_subqueries_and_table_expressions_are_seen_through(schema):
    query = """
    WITH late AS (SELECT o.buyer AS who FROM "order" AS o WHERE o.day > '2020')
    SELECT (SELECT c.city FROM customer c WHERE c.id = late.who) FROM late
    """
    assert used(schema, query) == {"customer": ["id", "city"], "order": ["id", "buyer", "day"]}


def test_a_star_keeps_every_column(schema):
    assert used(schema, "SELECT * FROM log")["log"] == ["line", "level"]
    query = "SELECT l.* FROM log l JOIN customer c ON c.name = l.line"
    assert used(schema, query) == {"customer": ["id", "name"], "log": ["line", "level"]}


def test_a_foreign_key_stays_only_with_its_table(schema):
    alone = used_schema(schema, ['SELECT day FROM "order"']).tables[0]
    assert alone.foreign_keys == ()
    both = used_schema(schema, ['SELECT 1 FROM "order" JOIN customer ON buyer = customer.id'])
    assert both.tables[1].foreign_keys[0].parent == "customer"


def test_a_query_that_cannot_be_parsed_counts_by_its_words(schema):
    assert used(schema, "SELECT name FROM customer WHERE ((") == {"customer": ["id", "name"]}


@pytest.mark.parametrize("query", ["SELECT 1", "SELECT x FROM elsewhere", "", "(" * 5000])
def test_the_whole_schema_is_kept_where_no_table_is_found(schema, query):
    assert used_schema(schema, [query]) == schema


def test_the_pruned_text_is_a_schema_that_can_be_created(schema, tmp_path):
    text = used_schema(schema, ['SELECT day FROM "order", customer']).text()
    create_database(tmp_path / "again.sqlite", text)
