"""Neighbour databases: plausible rows that tell a right query from a lucky one."""

import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from slmsql.errors import InputError
from slmsql.execution import Executor, Pair, create_database
from slmsql.match import Match
from slmsql.questions.question import Question
from slmsql.suites.neighbours.choice import smallest_cover
from slmsql.suites.neighbours.focus import near_values, read_focus
from slmsql.suites.neighbours.folder import Suites, suite_folder
from slmsql.suites.neighbours.judging import parted, suite_verdicts
from slmsql.suites.neighbours.making import Task, card, make_suite, make_suites
from slmsql.suites.neighbours.mutants import mutants
from slmsql.suites.neighbours.reading import read_profile
from slmsql.suites.neighbours.witness import fewest, find_witness
from tests.neighbours import database, neighbours_of, rows

BAND = """
CREATE TABLE label (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE singer (
    id INTEGER PRIMARY KEY, name TEXT, age INTEGER, town TEXT,
    label_id INTEGER REFERENCES label (id)
);
INSERT INTO label VALUES (1, 'Red', 'Rome'), (2, 'Blue', 'Paris'), (3, 'Green', 'Rome');
INSERT INTO singer VALUES (1, 'Ann', 28, 'Oslo', 1), (2, 'Bob', 35, 'Bern', 1),
    (3, 'Cid', 41, NULL, 2), (4, 'Dan', 22, 'Oslo', NULL), (5, 'Eve', 39, 'Bern', 2);
"""
OVER_30 = "SELECT name FROM singer WHERE age > 30"
FROM_30 = "SELECT name FROM singer WHERE age >= 30"


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


@pytest.fixture(scope="module")
def band(tmp_path_factory):
    path = tmp_path_factory.mktemp("band") / "band" / "band.sqlite"
    create_database(path, BAND)
    return path


@pytest.fixture(scope="module")
def made(band, tmp_path_factory):
    """The suite of one gold query: its record and the suites' folder."""
    folder = tmp_path_factory.mktemp("suites")
    record = make_suite(Task(band, OVER_30, folder, seed=1))
    (folder / "card.json").write_text("{}")
    return record, Suites(folder)


def kinds(gold, path):
    return Counter(mutant.kind for mutant in mutants(gold, read_profile(path)))


def test_a_suite_refuses_a_query_that_is_right_by_coincidence(band, made, executor):
    record, suites = made
    pairs = [Pair(band, sql, OVER_30) for sql in (FROM_30, OVER_30, "SELECT name FROM singer")]
    verdicts = executor.judge(pairs, match=Match.BIRD)
    assert [verdict.correct for verdict in verdicts] == [True, True, False]
    lucky, right, wrong = suite_verdicts(
        pairs, verdicts, suites, Match.BIRD, lambda more, mode: executor.judge(more, match=mode)
    )
    assert lucky.coincidence
    assert not lucky.right
    assert 1 <= lucky.agreed < lucky.databases
    assert right.right
    assert not right.coincidence
    assert right.agreed == len(record["neighbours"]) + 1
    assert not wrong.coincidence
    assert wrong.agreed == 0
    assert wrong.databases == right.databases


def test_a_query_without_a_suite_gets_no_verdict(band, made, executor):
    pairs = [Pair(band, "SELECT 1", "SELECT 2"), Pair(band, "SELECT 1", "SELEC")]
    verdicts = executor.judge(pairs, match=Match.BIRD)
    found = suite_verdicts(pairs, verdicts, made[1], Match.BIRD, lambda more, mode: [])
    assert found == [None, None]


def test_the_gold_query_is_right_on_its_neighbours_in_all_modes(band, made, executor):
    paths = made[1].neighbours(band, OVER_30)
    for match in Match:
        verdicts = executor.judge([Pair(path, OVER_30, OVER_30) for path in paths], match=match)
        assert paths
        assert all(verdict.correct for verdict in verdicts)
    assert any(made[0]["gold_rows"])


def test_neighbours_keep_keys_nulls_and_partners(band, executor, tmp_path):
    gold = (
        "SELECT T1.name FROM singer AS T1 JOIN label AS T2 ON T1.label_id = T2.id WHERE T1.age > 30"
    )
    trial = neighbours_of(band, gold, executor, tmp_path)
    ages = set()
    for path in trial.killed:
        assert not rows(path, "PRAGMA foreign_key_check")
        names = [name for (name,) in rows(path, "SELECT name FROM singer")]
        assert len(set(names)) == len(names)  # names do not repeat in the original
        assert not rows(path, "SELECT 1 FROM singer WHERE age IS NULL OR name IS NULL")
        ages |= {age for (age,) in rows(path, "SELECT age FROM singer")}
    assert {29, 30, 31} <= ages


def test_the_same_seed_gives_the_same_bytes(band, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_suite(Task(band, OVER_30, tmp_path / folder, seed))
    contents = {
        folder: [p.read_bytes() for p in sorted(neighbour_files(tmp_path / folder, band))]
        for folder in "abc"
    }
    assert contents["a"] == contents["b"] != contents["c"]


def neighbour_files(folder, band):
    return suite_folder(folder, band, OVER_30).glob("*.sqlite")


def test_the_original_is_not_written(band, made):
    before = band.stat()
    read_profile(band)
    assert band.stat() == before
    assert [path.name for path in band.parent.iterdir()] == ["band.sqlite"]


def test_a_suite_for_another_version_of_the_database_is_not_used(band, made, tmp_path):
    changed = tmp_path / "band" / "band.sqlite"
    create_database(changed, BAND + "DELETE FROM singer WHERE id = 5;")
    assert made[1].neighbours(band, OVER_30)
    assert not made[1].neighbours(changed, OVER_30)


def test_what_is_made_already_is_kept_and_the_rest_is_made(band, tmp_path):
    def question(number, gold):
        return Question(str(number), "?", "band", band, gold_sql=gold)

    golds = [OVER_30, "SELECT count(*) FROM label", "SELECT gone FROM label"]
    questions = [question(number, gold) for number, gold in enumerate([*golds, OVER_30])]
    list(make_suites(questions[:1], tmp_path, seed=0, workers=1))
    file = suite_folder(tmp_path, band, OVER_30) / "suite.json"
    before = file.stat().st_mtime_ns
    records = list(make_suites(questions, tmp_path, seed=0, workers=1))
    assert file.stat().st_mtime_ns == before
    assert {record["gold_sql"] for record in records} == set(golds)
    summary = card(records, {})
    assert (summary["gold_queries"], summary["suites"]) == (3, 2)
    assert list(summary["left_out"]) == ["the gold query does not run: no such column: gone"]
    assert not list(tmp_path.glob("*/.*"))  # no temporary folder is left


def test_a_gold_query_that_ties_or_the_clock_decide_is_left_out(band, tmp_path):
    for gold in ("SELECT name FROM singer LIMIT 1", "SELECT date('now'), name FROM singer"):
        record = make_suite(Task(band, gold, tmp_path, 0))
        assert record["neighbours"] == []
        assert "depends on the time, on chance or on the order" in record["left_out"]


def test_a_limit_among_ties_is_not_put_to_the_test(band, executor, tmp_path):
    gold = "SELECT name FROM singer ORDER BY age DESC LIMIT 1"
    trial = neighbours_of(band, gold, executor, tmp_path)
    for path in trial.killed:
        oldest = "SELECT count(*) FROM singer WHERE age = (SELECT max(age) FROM singer)"
        assert rows(path, oldest) == [(1,)]


@pytest.mark.parametrize(
    ("gold", "lucky"),
    [
        ("SELECT max(age) FROM singer",
         "SELECT age FROM singer ORDER BY age DESC LIMIT 1 OFFSET 0"),
        ("SELECT name FROM singer WHERE age = (SELECT max(age) FROM singer)",
         "SELECT name FROM singer ORDER BY age DESC LIMIT 1"),
        ("SELECT count(*) FROM singer", "SELECT count(label_id) + 1 FROM singer"),
        ("SELECT count(DISTINCT town) FROM singer", "SELECT count(*) - 3 FROM singer"),
    ],
)  # fmt: skip
def test_classic_coincidences_part_on_a_neighbour(gold, lucky, band, executor, tmp_path):
    trial = neighbours_of(band, gold, executor, tmp_path, rounds=3)
    verdicts = executor.judge([Pair(p, lucky, gold) for p in trial.killed], match=Match.BIRD)
    is_equivalent = gold.startswith("SELECT max")
    assert all(verdict.correct for verdict in verdicts) == is_equivalent


@pytest.mark.parametrize(
    ("gold", "ties"),
    [
        ("SELECT town FROM singer GROUP BY town ORDER BY count(*) DESC LIMIT 1",
         "SELECT count(*) FROM singer GROUP BY town ORDER BY count(*) DESC LIMIT 2"),
        ("SELECT name, age FROM singer ORDER BY age",
         "SELECT age FROM singer GROUP BY age HAVING count(*) > 1"),
        ("SELECT name FROM singer WHERE id IN (SELECT id FROM singer ORDER BY age LIMIT 1)",
         "SELECT age FROM singer ORDER BY age LIMIT 2"),
        ("SELECT town, count(*) AS n FROM singer GROUP BY town"
         " ORDER BY CASE WHEN n IS NULL THEN 1 ELSE 0 END, n DESC LIMIT 1",
         "SELECT count(*) FROM singer GROUP BY town ORDER BY count(*) DESC LIMIT 2"),
    ],
)  # fmt: skip
def test_a_result_that_ties_leave_open_is_not_asked_for(gold, ties, band, executor, tmp_path):
    trial = neighbours_of(band, gold, executor, tmp_path, rounds=2)
    assert trial.killed
    for path in trial.killed:
        found = rows(path, ties)
        assert "HAVING" not in ties or not found
        assert "LIMIT" not in ties or len(found) < 2 or found[0] != found[1]


def test_mutants_of_all_kinds_differ_from_the_query_in_one_place(band):
    assert kinds(OVER_30, band).keys() == {
        "comparison",
        "constant",
        "condition dropped",
        "distinct",
        "column",
    }
    found = kinds(
        "SELECT DISTINCT T2.city, count(*)"
        " FROM singer AS T1 JOIN label AS T2 ON T1.label_id = T2.id"
        " WHERE T1.age BETWEEN 1 AND 50 AND T2.name LIKE '%e%' GROUP BY T2.city HAVING count(*) > 1"
        " ORDER BY count(*) DESC LIMIT 3",
        band,
    )
    assert found.keys() == {
        "comparison", "constant", "condition dropped", "distinct", "column", "connector", "limit",
        "order", "grouping", "join side", "join dropped", "columns swapped", "negation",
    }  # fmt: skip
    union = "SELECT city FROM label EXCEPT SELECT town FROM singer"
    assert {"set operation", "join added"} <= kinds(union, band).keys()
    texts = [mutant.sql for mutant in mutants(union, read_profile(band))]
    assert len(set(texts)) == len(texts)


def test_near_misses_confuse_references_and_write_numbers_of_rows(tmp_path):
    path = database(
        tmp_path,
        "CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE match (id INTEGER PRIMARY KEY, home INTEGER REFERENCES team (id),"
        " away INTEGER REFERENCES team (id)); INSERT INTO team VALUES (7, 'Red'), (9, 'Blue');",
    )
    gold = "SELECT count(*) FROM match JOIN team ON home = team.id WHERE team.name = 'red'"
    found = {mutant.kind: mutant.sql for mutant in mutants(gold, read_profile(path))}
    assert '"away" = team.id' in found["reference"]
    assert 'team."id" = 7' in found["row number"]
    unknown = [mutant.kind for mutant in mutants(gold.replace("red", "Green"), read_profile(path))]
    assert "row number" not in unknown


@pytest.mark.parametrize(
    "sql", ["", "SELEC", "SELECT (" * 500, "SELECT 'a", "DROP TABLE singer", "\0"]
)
def test_hostile_gold_queries_have_no_mutants_that_run_and_do_not_raise(
    sql, band, executor, tmp_path
):
    mutants(sql, read_profile(band))
    record = make_suite(Task(band, sql, tmp_path, 0))
    assert record["neighbours"] == []
    assert record["left_out"]
    assert rows(band, "SELECT count(*) FROM singer") == [(5,)]


def test_constants_are_read_with_their_column_and_their_neighbours(band):
    focus = read_focus(
        "SELECT name FROM singer WHERE age > -3 AND town LIKE '%Os_o%' LIMIT 7", read_profile(band)
    )
    assert focus.constants == {("singer", 2): (-3,), ("singer", 3): ("Osao",)}
    assert focus.count == 7
    assert near_values(30) == [29, 31]
    assert near_values("2020-02-28") == ["2020-02-27", "2020-02-29"]
    assert near_values("2020-13-45") == []
    assert near_values(None) == near_values("") == []


def test_the_cover_is_the_smallest_that_greed_finds():
    killed = {"a": {1, 2}, "b": {3, 4, 5}, "c": {1, 3}, "d": {2}}
    assert smallest_cover(killed) == ["b", "a"]
    assert smallest_cover(killed, times=2) == ["b", "a", "c", "d"]
    assert smallest_cover({"a": set()}) == smallest_cover({}) == []


def test_a_witness_shows_the_few_rows_on_which_two_queries_part(band, made, executor):
    (lucky,) = [
        path
        for path in made[1].neighbours(band, OVER_30)
        if rows(path, FROM_30) != rows(path, OVER_30)
    ][:1]
    witness = find_witness(lucky, Pair(band, FROM_30, OVER_30), Match.BIRD, executor)
    assert witness.gold.rows == ()
    assert len(witness.predicted.rows) == 1
    (singer,) = witness.tables  # `label` is not in the queries
    assert (singer.name, singer.columns) == ("singer", ("name", "age"))
    assert [age for _, age in singer.rows] == [30]
    connection = sqlite3.connect(":memory:")
    connection.executescript(witness.script)
    assert connection.execute("SELECT age FROM singer").fetchall() == [(30,)]
    assert connection.execute(FROM_30).fetchall() == list(witness.predicted.rows)
    connection.close()


def test_delta_debugging_finds_the_items_that_are_needed():
    assert fewest(list(range(100)), lambda items: {17, 93} <= set(items), list) == [17, 93]
    assert fewest([1], lambda items: True, list) == []
    assert fewest([], lambda items: True, list) == []


ODD = '''
CREATE TABLE "odd ""table""" (
    "a b" TEXT, "select" INTEGER, "c" AS ("select" * 2), "d" AS ("select" + 1) STORED
);
CREATE TABLE "código" (k TEXT, v BLOB, PRIMARY KEY (k, v)) WITHOUT ROWID;
CREATE TABLE checked (n INTEGER CHECK (n > 5) UNIQUE, rowid TEXT);
CREATE TABLE "empty" (
    id INTEGER PRIMARY KEY, at DATE, r REAL, parent INTEGER REFERENCES "empty" (id)
);
CREATE VIEW seen AS SELECT "a b" FROM "odd ""table""";
CREATE VIEW broken AS SELECT gone FROM nowhere;
CREATE TRIGGER grow AFTER INSERT ON checked BEGIN DELETE FROM "odd ""table"""; END;
CREATE UNIQUE INDEX once ON "odd ""table""" ("select");
CREATE INDEX lower ON "odd ""table""" (lower("a b"));
INSERT INTO "odd ""table""" VALUES ('x', 1), ('O''Neil', 2), (NULL, 3);
INSERT INTO "código" VALUES ('k', x'00ff'), ('l', 'text' || char(0) || 'more');
'''


@pytest.mark.parametrize(
    "gold",
    [
        'SELECT "a b" FROM "odd ""table""" WHERE "select" >= 2',
        'SELECT "d" FROM "odd ""table""" WHERE "c" > 2',
        "SELECT k FROM \"código\" WHERE k = 'k'",
        "SELECT n FROM checked WHERE n > 6",
        "SELECT count(*) FROM \"empty\" WHERE at > '2020-01-01'",
        'SELECT "a b" FROM seen',
    ],
)
def test_odd_names_generated_columns_triggers_views_and_empty_tables_work(gold, executor, tmp_path):
    path = database(tmp_path, ODD)
    trial = neighbours_of(path, gold, executor, tmp_path)
    assert len(trial.killed) == 12
    assert any(trial.rows.values())
    made = [name for (name,) in rows(next(iter(trial.killed)), "SELECT name FROM sqlite_master")]
    original = [name for (name,) in rows(path, "SELECT name FROM sqlite_master")]
    assert sorted(made) == sorted(original)


def test_databases_that_cannot_be_copied_are_left_out_with_the_reason(tmp_path):
    virtual = database(tmp_path, "CREATE VIRTUAL TABLE song USING fts5(words)", "virtual")
    bare = database(tmp_path, "CREATE VIEW one AS SELECT 1", "bare")
    for path, reason in ((virtual, r"has a virtual table \(song\)"), (bare, "has no table")):
        with pytest.raises(InputError, match=reason):
            read_profile(path)
        record = make_suite(Task(path, "SELECT 1", tmp_path, 0))
        assert record["left_out"].startswith(str(path))
        assert record["neighbours"] == []


def test_a_large_table_is_sampled_all_over(tmp_path):
    script = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"
        " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL"
        " SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i, hex(zeroblob(600)) FROM n;"
    )
    profile = read_profile(database(tmp_path, script))
    ids = [row[0] for row in profile.tables[0].rows]
    assert 200 < len(ids) <= 300
    assert min(ids) < 500
    assert max(ids) > 4500
    assert all(len(row[1]) == 1000 for row in profile.tables[0].rows)


def test_a_folder_without_a_card_holds_no_suites(tmp_path):
    with pytest.raises(InputError, match=r"has no card\.json; make suites with"):
        Suites(tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({}))
    assert Suites(tmp_path).folder == Path(tmp_path)


@pytest.mark.parametrize(
    ("gold", "same", "other"),
    [
        ("SELECT age, name FROM singer WHERE age > 90 ORDER BY age DESC LIMIT 1",
         "SELECT max(age), name FROM singer WHERE age > 90", "SELECT 41, 'Cid'"),
        ("SELECT sum(1), 0 FROM singer WHERE age > 90",
         "SELECT count(*), NULL FROM singer WHERE age > 90", "SELECT 1, 0"),
        ("SELECT count(*) FROM singer WHERE age > 90",
         "SELECT sum(1) FROM singer WHERE age > 90", "SELECT age FROM singer WHERE age > 90"),
    ],
)  # fmt: skip
def test_each_way_to_say_that_there_is_nothing_is_the_same(gold, same, other, band, executor):
    pairs = [Pair(band, sql, gold) for sql in (same, gold, other)]
    found = parted(pairs, Match.BIRD, lambda more, mode: executor.judge(more, match=mode))
    assert found == [False, False, True]


def test_a_database_that_declares_no_key_is_left_out_with_the_reason(tmp_path):
    path = database(tmp_path, "CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1), (2);")
    record = make_suite(Task(path, "SELECT id FROM t", tmp_path / "suites", seed=1))
    assert record["neighbours"] == []
    assert record["left_out"].startswith("the database declares no key")
    wanted = Task(path, "SELECT id FROM t", tmp_path / "wanted", seed=1, without_keys=True)
    assert make_suite(wanted)["neighbours"]


def test_a_witness_keeps_numbers_as_they_are(executor, tmp_path):
    item = "CREATE TABLE item (name TEXT, price REAL); INSERT INTO item VALUES"
    original = database(tmp_path, f"{item} ('A', 1.99), ('B', 2.99)")
    neighbour = database(tmp_path, f"{item} ('A', 7.99), ('B', 8.99)", "neighbour")
    gold = "SELECT name FROM item WHERE price = 7.99"
    pair = Pair(original, "SELECT 'C' FROM item WHERE price > 9", gold)
    witness = find_witness(neighbour, pair, Match.BIRD, executor)
    assert (witness.gold.rows, witness.predicted.rows) == ((("A",),), ())


def test_results_that_differ_by_rounding_alone_are_equal_on_neighbours(band, executor):
    share = "CAST(sum(age > 30) AS REAL) {} / count(*) {} FROM singer WHERE id < 4"
    gold, same = f"SELECT {share.format('* 100', '')}", f"SELECT {share.format('', '* 100')}"
    pairs = [Pair(band, sql, gold) for sql in (same, gold, f"{gold} AND id > 1")]
    plain = executor.judge(pairs, match=Match.BIRD)
    assert [verdict.correct for verdict in plain] == [False, True, False]
    found = parted(pairs, Match.BIRD, lambda more, mode: executor.judge(more, match=mode))
    assert found == [False, False, True]
