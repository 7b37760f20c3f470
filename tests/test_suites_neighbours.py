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
from slmsql.suites.neighbours.building import try_neighbours
from slmsql.suites.neighbours.choice import smallest_cover
from slmsql.suites.neighbours.focus import near_values, read_focus
from slmsql.suites.neighbours.folder import Suites, suite_folder
from slmsql.suites.neighbours.habits import (
    are_counts,
    are_row_numbers,
    determines,
    is_closed,
    is_rising,
    never_exceeds,
)
from slmsql.suites.neighbours.judging import parted, suite_verdicts
from slmsql.suites.neighbours.making import Task, card, make_suite, make_suites
from slmsql.suites.neighbours.mutants import mutants
from slmsql.suites.neighbours.reading import read_profile
from slmsql.suites.neighbours.witness import fewest, find_witness

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


def database(tmp_path, script, name="db"):
    path = tmp_path / f"{name}.sqlite"
    create_database(path, script)
    return path


def neighbours_of(path, gold, executor, tmp_path, rounds=1):
    """The trial of a gold query, after few rounds."""
    folder = tmp_path / "neighbours"
    folder.mkdir()
    return try_neighbours(gold, read_profile(path), executor, folder, rounds=rounds)


def rows(path, sql):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


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
    ("towns", "like", "parts"),
    [
        (["Oslo", "Bern"], "Oslo%", False),
        (["Oslo", "Oslo Nord"], "Oslo%", True),
        (["Oslo", "Bern"], "oslo", False),
        (["Oslo", "BERN", "bern"], "oslo", True),
    ],
)
def test_texts_that_contain_the_constant_or_differ_in_case_occur_only_if_the_original_has_such(
    towns, like, parts, executor, tmp_path
):
    values = ", ".join(f"({number}, '{town}')" for number, town in enumerate(towns * 3))
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, town TEXT); INSERT INTO t VALUES {values};"
    path = database(tmp_path, script)
    gold = "SELECT id FROM t WHERE town = 'Oslo'"
    trial = neighbours_of(path, gold, executor, tmp_path)
    pairs = [Pair(p, f"SELECT id FROM t WHERE town LIKE '{like}'", gold) for p in trial.killed]
    verdicts = executor.judge(pairs, match=Match.BIRD)
    assert any(not verdict.correct for verdict in verdicts) is parts


def test_named_rows_such_as_continents_are_not_made_up(executor, tmp_path):
    script = (
        "CREATE TABLE continent (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO continent VALUES"
        " (1, 'Asia'), (2, 'Europe'), (3, 'Africa'), (4, 'America'), (5, 'Oceania');"
    )
    trial = neighbours_of(
        database(tmp_path, script), "SELECT name FROM continent WHERE id > 2", executor, tmp_path
    )
    names = {name for path in trial.killed for (name,) in rows(path, "SELECT name FROM continent")}
    assert names <= {"Asia", "Europe", "Africa", "America", "Oceania"}


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


def test_columns_that_determine_each_other_stay_together():
    countries = ["Italy", "Italy", "France", "France", "Spain", "Spain"] * 3
    codes = [country[:2] for country in countries]
    assert determines(countries, codes)
    assert not determines(countries, [*codes[:-1], "XX"])
    assert not determines(["a", "b", "c"], [1, 2, 3])  # without repeats it may be chance


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


def test_texts_that_always_occur_in_another_table_do_so_in_neighbours(executor, tmp_path):
    states = ["NY", "CA", "TX", "OH", "FL", "WA"]
    area = ", ".join(f"({number}, '{state}')" for number, state in enumerate(states * 2))
    votes = ", ".join(f"({number}, '{states[number % 5]}')" for number in range(12))
    path = database(
        tmp_path,
        "CREATE TABLE area (code INTEGER PRIMARY KEY, state TEXT);"
        "CREATE TABLE vote (id INTEGER PRIMARY KEY, state TEXT);"
        f"INSERT INTO area VALUES {area}; INSERT INTO vote VALUES {votes};",
    )
    trial = neighbours_of(path, "SELECT state FROM vote WHERE id > 5", executor, tmp_path)
    for neighbour in trial.killed:
        assert not rows(neighbour, "SELECT state FROM vote EXCEPT SELECT state FROM area")


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


TEAMS = """
CREATE TABLE side (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE team (id INTEGER PRIMARY KEY, side_id INTEGER REFERENCES side (id));
INSERT INTO side VALUES (1, 'Good'), (2, 'Bad'), (3, 'Neutral'), (4, '-');
INSERT INTO team VALUES (1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 1), (7, 2), (8, 4);
"""


@pytest.mark.parametrize(
    ("gold", "evidence", "stay"),
    [
        ("SELECT count(*) FROM team JOIN side ON side_id = side.id WHERE name = 'Bad'", "", False),
        ("SELECT count(*) FROM team JOIN side ON side_id = side.id WHERE name = 'Bad'",
         "bad refers to side_id = 2", True),
        ("SELECT count(*) FROM team WHERE side_id = 2", "", True),
    ],
)  # fmt: skip
def test_numbers_stay_with_their_names_if_query_or_evidence_have_them(
    gold, evidence, stay, executor, tmp_path
):
    path = database(tmp_path, TEAMS)
    (folder := tmp_path / "neighbours").mkdir()
    trial = try_neighbours(gold, read_profile(path), executor, folder, evidence=evidence, rounds=2)
    pairs = {pair for path in trial.killed for pair in rows(path, "SELECT id, name FROM side")}
    assert pairs
    assert (pairs <= {(1, "Good"), (2, "Bad"), (3, "Neutral"), (4, "-")}) is stay


HEROES = """
CREATE TABLE hero (number INTEGER, name TEXT, height REAL, alive INTEGER);
CREATE TABLE face (number INTEGER PRIMARY KEY REFERENCES hero (number), eyes TEXT);
CREATE TABLE power (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE hero_power (
    hero INTEGER REFERENCES hero (number), power INTEGER REFERENCES power (id)
);
CREATE TABLE fight (winner INTEGER);
"""
KEPT_RULES = {
    "a row number repeats": "SELECT 1 FROM hero GROUP BY number HAVING count(*) > 1",
    "a hero has no face": "SELECT number FROM hero EXCEPT SELECT number FROM face",
    "a pair repeats": "SELECT 1 FROM hero_power GROUP BY hero, power HAVING count(*) > 1",
    "a name of two repeats": "SELECT 1 FROM power GROUP BY name HAVING count(*) > 1",
    "a height has a fraction": "SELECT 1 FROM hero WHERE height != CAST(height AS INTEGER)",
    "a height is below zero": "SELECT height FROM hero WHERE height < 0",
    "a flag is neither 0 nor 1": "SELECT alive FROM hero WHERE alive NOT IN (0, 1)",
    "a winner is no hero": "SELECT winner FROM fight EXCEPT SELECT number FROM hero",
}


def test_rules_that_the_original_shows_without_declaring_them_hold(executor, tmp_path):
    heroes = [(n, f"Hero {n}", float(n % 7 * 10), n % 2) for n in range(1, 31)]
    faces = [(n, ("blue", "green")[n % 2]) for n in range(1, 31)]
    script = HEROES + "".join(
        f"INSERT INTO {table} VALUES {', '.join(map(str, values))};"
        for table, values in {
            "hero": heroes,
            "face": faces,
            "power": [(1, "flight"), (2, "speed")],
            "hero_power": [(n, 1 + n % 2) for n in range(1, 21)],
            "fight": ["(3)", "(3)", "(8)"],
        }.items()
    )
    gold = (
        "SELECT face.eyes, power.name FROM hero JOIN face ON hero.number = face.number"
        " JOIN hero_power ON hero.number = hero_power.hero"
        " JOIN power ON hero_power.power = power.id JOIN fight ON fight.winner = hero.number"
        " WHERE hero.height > 0 AND hero.height != 10.5 AND hero.alive = 1"
    )
    trial = neighbours_of(database(tmp_path, script), gold, executor, tmp_path)
    assert trial.killed
    for path in trial.killed:
        assert [rule for rule, broken in KEPT_RULES.items() if rows(path, broken)] == []
    assert any(count for count in trial.rows.values())


GEOGRAPHY = """
CREATE TABLE state (name TEXT, capital TEXT);
CREATE TABLE border (state TEXT, neighbour TEXT);
CREATE TABLE river (river TEXT, through TEXT);
CREATE TABLE person (number INTEGER PRIMARY KEY, town TEXT);
CREATE TABLE governor (person INTEGER REFERENCES person (number), town TEXT, pay INTEGER);
CREATE TABLE census (area INTEGER, year INTEGER, people INTEGER);
CREATE TABLE lifter (name TEXT, snatch REAL, jerk REAL, total REAL);
"""
KEPT_RELATIONS = {
    "a state borders another one, but not the other way round":
        "SELECT state, neighbour FROM border EXCEPT SELECT neighbour, state FROM border",
    "two states border each other twice":
        "SELECT 1 FROM border GROUP BY state, neighbour HAVING count(*) > 1",
    "a river runs through no state": "SELECT through FROM river EXCEPT SELECT name FROM state",
    "a person is governor twice": "SELECT 1 FROM governor GROUP BY person HAVING count(*) > 1",
    "a governor lives elsewhere than the same person":
        "SELECT 1 FROM governor AS g JOIN person ON person = number WHERE g.town != person.town",
    "an area has two censuses in a year":
        "SELECT 1 FROM census GROUP BY area, year HAVING count(*) > 1",
    "a total is not the sum of its parts":
        "SELECT 1 FROM lifter WHERE abs(total - snatch - jerk) > 0.1",
}  # fmt: skip


def test_relations_that_the_original_shows_without_declaring_them_hold(executor, tmp_path):
    ring = [(f"State {n}", f"State {(n + 1) % 12}") for n in range(12)]
    script = GEOGRAPHY + "".join(
        f"INSERT INTO {table} VALUES {', '.join(map(str, rows))};"
        for table, rows in {
            "state": [(f"State {n}", f"Capital {n}") for n in range(12)],
            "border": ring + [pair[::-1] for pair in ring],
            "river": [(f"River {n % 4}", f"State {n % 7}") for n in range(14)],
            "person": [(n, f"Town {n % 3}") for n in range(20)],
            "governor": [(n, f"Town {n % 3}", n % 4) for n in range(15)],
            "census": [(n % 8, 1990 + n // 8, n % 3) for n in range(40)],
            "lifter": [
                (f"Lifter {n}", 120.5 + n, 160 + n % 3, 280.5 + n + n % 3) for n in range(9)
            ],
        }.items()
    )
    gold = "SELECT river FROM river WHERE through = 'State 1'"
    trial = neighbours_of(database(tmp_path, script), gold, executor, tmp_path)
    assert trial.killed
    for path in trial.killed:
        assert [rule for rule, broken in KEPT_RELATIONS.items() if rows(path, broken)] == []


LIBRARY = """
CREATE TABLE writer (number INTEGER, writer_id INTEGER, name TEXT);
CREATE TABLE book (id INTEGER, writer_id INTEGER, quotes INTEGER, genre TEXT);
CREATE TABLE cover (book_id INTEGER, colour TEXT);
CREATE TABLE quote (quoted_book_id INTEGER, page INTEGER);
CREATE TABLE reader (reader_id INTEGER, joined TEXT);
CREATE TABLE loan (loan_id INTEGER, reader_id INTEGER, lent TEXT, returned TEXT);
"""
KEPT_NAMES = {
    "a writer's number repeats": "SELECT 1 FROM writer GROUP BY writer_id HAVING count(*) > 1",
    "a book has no writer": "SELECT writer_id FROM book EXCEPT SELECT writer_id FROM writer",
    "a book has no cover": "SELECT id FROM book EXCEPT SELECT book_id FROM cover",
    "a book has two covers": "SELECT 1 FROM cover GROUP BY book_id HAVING count(*) > 1",
    "a page quotes a book twice":
        "SELECT 1 FROM quote GROUP BY quoted_book_id, page HAVING count(*) > 1",
    "a book is quoted more or less often than it says":
        "SELECT 1 FROM book WHERE quotes != (SELECT count(*) FROM quote WHERE quoted_book_id = id)",
    "a later reader joined earlier": "SELECT 1 FROM reader AS a JOIN reader AS b"
        " ON a.reader_id < b.reader_id AND a.joined > b.joined",
    "a moment has no time": "SELECT 1 FROM reader WHERE length(joined) != 16",
    "a book comes back before it is lent": "SELECT 1 FROM loan WHERE lent > returned",
    "a genre is spelt as the query does": "SELECT 1 FROM book WHERE genre = 'crime'",
}  # fmt: skip


def test_rules_that_few_rows_and_the_names_of_columns_show_hold(executor, tmp_path):
    quotes = [3, 2, 2, 1, 0]
    script = LIBRARY + "".join(
        f"INSERT INTO {table} VALUES {', '.join(map(str, rows))};"
        for table, rows in {
            "writer": [(n % 4 + 7, n, f"Writer {n}") for n in range(5)],
            "book": [(n, n % 3, quotes[n], ("Crime", "Myth")[n % 2]) for n in range(5)],
            "cover": [(n, ("red", "blue")[n % 2]) for n in (3, 1, 4, 0, 2)],
            "quote": [(n, page) for n in range(5) for page in range(quotes[n])],
            "reader": [(n, f"2020-0{n}-11 1{n}:30") for n in range(1, 9)],
            "loan": [(n, n % 8 + 1, f"2021-0{n % 5 + 1}-01", f"2021-0{n % 5 + 3}-01")
                     for n in range(16)],
        }.items()
    )  # fmt: skip
    gold = (
        "SELECT writer.name, cover.colour, loan.lent FROM book JOIN writer USING (writer_id)"
        " JOIN cover ON cover.book_id = book.id, reader JOIN loan USING (reader_id)"
        " WHERE lower(book.genre) LIKE '%crime%' AND book.quotes > 1"
        " AND reader.joined >= '2020-04-01' AND loan.returned > '2021-04-01'"
    )
    trial = neighbours_of(database(tmp_path, script), gold, executor, tmp_path)
    assert trial.killed
    for path in trial.killed:
        assert [rule for rule, broken in KEPT_NAMES.items() if rows(path, broken)] == []
    assert any(count for count in trial.rows.values())


def test_a_database_that_declares_no_key_is_left_out_with_the_reason(tmp_path):
    path = database(tmp_path, "CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1), (2);")
    record = make_suite(Task(path, "SELECT id FROM t", tmp_path / "suites", seed=1))
    assert record["neighbours"] == []
    assert record["left_out"].startswith("the database declares no key")
    wanted = Task(path, "SELECT id FROM t", tmp_path / "wanted", seed=1, without_keys=True)
    assert make_suite(wanted)["neighbours"]


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
        (list(range(5)), list(range(2, 7)), False),  # may be chance
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


def test_a_constant_beside_a_function_of_a_column_is_no_value_of_it(executor, tmp_path):
    days = ", ".join(f"('Ann {n}', '200{n % 9}-0{n % 7 + 1}-11')" for n in range(30))
    path = database(
        tmp_path, f"CREATE TABLE visit (name TEXT, day TEXT); INSERT INTO visit VALUES {days};"
    )
    gold = "SELECT name FROM visit WHERE strftime('%Y', day) = '2006'"
    trial = neighbours_of(path, gold, executor, tmp_path)
    assert trial.killed
    assert not [
        1 for neighbour in trial.killed if rows(neighbour, "SELECT 1 FROM visit WHERE day = '2006'")
    ]


def test_a_witness_keeps_numbers_as_they_are(executor, tmp_path):
    item = "CREATE TABLE item (name TEXT, price REAL); INSERT INTO item VALUES"
    original = database(tmp_path, f"{item} ('A', 1.99), ('B', 2.99)")
    neighbour = database(tmp_path, f"{item} ('A', 7.99), ('B', 8.99)", "neighbour")
    gold = "SELECT name FROM item WHERE price = 7.99"
    pair = Pair(original, "SELECT 'C' FROM item WHERE price > 9", gold)
    witness = find_witness(neighbour, pair, Match.BIRD, executor)
    assert (witness.gold.rows, witness.predicted.rows) == ((("A",),), ())


def test_rows_that_mirror_each_other_by_habit_may_do_otherwise(executor, tmp_path):
    ways = [(n % 5, f"Port {n % 6}", f"Port {(n + 1) % 6}") for n in range(12)]
    back = [(price + 1, there, here) for price, here, there in ways]
    path = database(
        tmp_path,
        "CREATE TABLE flight (price INTEGER, source TEXT, target TEXT);"
        f"INSERT INTO flight VALUES {', '.join(map(str, ways + back))};",
    )
    gold = "SELECT count(*) FROM flight WHERE source = 'Port 1'"
    trial = neighbours_of(path, gold, executor, tmp_path)
    assert {"column"} <= {trial.mutants[n].kind for s in trial.killed.values() for n, _ in s}


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
    assert not is_closed([0, 1] * 4)  # too few to tell
    assert not is_closed([*range(20, 40), *range(20, 39)])  # 39 stands alone: 40 may follow


def test_results_that_differ_by_rounding_alone_are_equal_on_neighbours(band, executor):
    share = "CAST(sum(age > 30) AS REAL) {} / count(*) {} FROM singer WHERE id < 4"
    gold, same = f"SELECT {share.format('* 100', '')}", f"SELECT {share.format('', '* 100')}"
    pairs = [Pair(band, sql, gold) for sql in (same, gold, f"{gold} AND id > 1")]
    plain = executor.judge(pairs, match=Match.BIRD)
    assert [verdict.correct for verdict in plain] == [False, True, False]
    found = parted(pairs, Match.BIRD, lambda more, mode: executor.judge(more, match=mode))
    assert found == [False, False, True]
