"""Every wrong verdict known of other rewards and evaluators, judged here.

The numbers are those of a survey of published systems: BIRD's and Spider's evaluators (1-19), the
rewards and executors of SQL-R1, CSC-SQL, FINER-SQL, BIRD-RL, SkyRL, NeMo Gym, Arctic (20-48) and
of frameworks around them (49-57), and traps of SQLite itself (58).
"""

import hashlib
from pathlib import Path

import pytest

from slmsql.execution import Executor, Limits, Pair, Statement, Status, create_database
from slmsql.match import Match, orders_rows

SCRIPT = """
CREATE TABLE dept (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO dept VALUES (1, 'Ops'), (2, 'R&D');
CREATE TABLE emp (
    id INTEGER PRIMARY KEY, name TEXT, dept_id INTEGER, pay REAL, boss TEXT, value_added INTEGER
);
INSERT INTO emp VALUES
    (1, 'Ann', 1, 10.0, NULL, 5), (2, 'Bob', 1, 20.0, 'Ann', 5), (3, 'ann', 2, 20.0, '', 7);
CREATE TABLE road (name TEXT, speed_limit INTEGER, release INTEGER);
INSERT INTO road VALUES ('A1', 120, 1), ('A2', 100, 2);
CREATE TABLE nobody (id INTEGER, name TEXT);
CREATE TABLE long (n INTEGER, tail INTEGER);
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20000)
INSERT INTO long SELECT n, n > 15000 FROM c;
"""
SINGLE_INSTRUCTION = (
    "SELECT instr(hex(zeroblob(990000)), substr(hex(zeroblob(990000)), 1, 990000) || '1')"
)
BIRD, SPIDER, STRICT = Match.BIRD, Match.SPIDER, Match.STRICT
ALL = (True, True, True)
NO = (False, False, False)
NOTHING = (None, None, None)
EMPTY = "SELECT name FROM nobody"

# (number in the survey, what others got wrong, prediction, gold, verdicts in bird, spider, strict)
VERDICTS = [
    (1, "duplicates", "SELECT DISTINCT dept_id FROM emp", "SELECT dept_id FROM emp",
     (True, True, False)),
    (1, "multiplicity", "SELECT 1 UNION ALL SELECT 1 UNION ALL SELECT 2",
     "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 2", (True, False, False)),
    (1, "order", "SELECT id FROM emp ORDER BY id DESC", "SELECT id FROM emp ORDER BY id",
     (True, False, False)),
    (2, "both empty, other columns", "SELECT id, name FROM nobody", EMPTY, (True, True, False)),
    (2, "floating point", "SELECT 0.1 + 0.2", "SELECT 0.3", (False, False, True)),
    (3, "temporary table", "CREATE TEMP TABLE emp AS SELECT * FROM emp WHERE 0",
     "SELECT name FROM emp WHERE id > 9", NO),
    (3, "delete", "DELETE FROM emp", "SELECT name FROM emp WHERE id > 9", NO),
    (3, "pragma", "PRAGMA case_sensitive_like = on", EMPTY, NO),
    (3, "drop", "DROP TABLE emp", EMPTY, NO),
    (3, "attach", "ATTACH 'stolen.sqlite' AS s", EMPTY, NO),
    (11, "cut before compared", "SELECT n, 0 FROM long", "SELECT n, tail FROM long", NO),
    (12, "comment merged", "SELECT -- DISTINCT names\nname FROM emp", "SELECT name FROM emp", ALL),
    (14, "distinct counted", "SELECT count(dept_id) FROM emp",
     "SELECT count(DISTINCT dept_id) FROM emp", (False, True, False)),
    (15, "column order", "SELECT name, id FROM emp", "SELECT id, name FROM emp",
     (False, True, False)),
    (16, "two spaces", "SELECT id FROM emp ORDER BY id DESC", "SELECT id FROM emp ORDER  BY id",
     (True, False, False)),
    (16, "sorted subquery", "SELECT id FROM emp ORDER BY id DESC",
     "SELECT id FROM emp WHERE id IN (SELECT id FROM emp ORDER BY id LIMIT 9)", ALL),
    (18, "value in a name", "SELECT value_added FROM emp", "SELECT value_added FROM emp;", ALL),
    (18, "value in a literal", "SELECT 'value'", "SELECT '1'", NO),
    (20, "gold fails", "SELECT 1", "SELECT nothing FROM nowhere", NOTHING),
    (20, "gold is no query", "SELECT 1", "DELETE FROM emp", NOTHING),
    (21, "leading comment", "-- the names\nSELECT name FROM emp", "SELECT name FROM emp", ALL),
    (23, "empty and empty", "SELECT name FROM emp WHERE 0", EMPTY, ALL),
    (24, "operator in a literal", "SELECT 'a > = b'", "SELECT 'a >= b'", NO),
    (26, "order ignored", "SELECT name FROM emp ORDER BY id DESC",
     "SELECT name FROM emp ORDER BY id", (True, False, False)),
    (27, "deletion rewarded", "DELETE FROM nobody", EMPTY, NO),
    (29, "common table expression", "WITH a AS (SELECT name FROM emp) SELECT name FROM a",
     "SELECT name FROM emp", ALL),
    (29, "short", "VALUES (1)", "SELECT 1", ALL),
    (30, "empty gold", EMPTY, "SELECT name FROM emp WHERE id = 9", ALL),
    (31, "semicolon in a literal", "SELECT 'a;b'", "SELECT 'ab'", NO),
    (31, "line end in a literal", "SELECT 'a\nb'", "SELECT 'a b'", NO),
    (34, "no SQL", "this is not sql", "SELECT name FROM emp", NO),
    (34, "no SQL, empty gold", "this is not sql", EMPTY, NO),
    (35, "LIKE and capitals", "SELECT name FROM emp WHERE name LIKE 'ann%'",
     "SELECT name FROM emp WHERE id IN (1, 3)", ALL),
    (36, "two columns of one name", "SELECT d.name, d.name FROM emp JOIN dept d ON dept_id = d.id",
     "SELECT e.name, d.name FROM emp e JOIN dept d ON dept_id = d.id", NO),
    (36, "NULL and empty text", "SELECT boss FROM emp WHERE id = 3",
     "SELECT boss FROM emp WHERE id = 1", NO),
    (37, "long texts", f"SELECT '{'x' * 300}a'", f"SELECT '{'x' * 300}b'", NO),
    (37, "values sorted in a row", "SELECT 2, 1 UNION SELECT 1, 3", "SELECT 1, 2 UNION SELECT 1, 3",
     NO),
    (38, "wrong literal", "SELECT name FROM emp WHERE id = 1", "SELECT name FROM emp WHERE id = 2",
     NO),
    (40, "garbage, empty gold", "))) garbage", EMPTY, NO),
    (40, "garbage, broken gold", "))) garbage", "SELECT FROM", NOTHING),
    (42, "create, empty gold", "CREATE TABLE zz (a)", EMPTY, NO),
    (43, "commit", "commit", EMPTY, NO),
    (44, "no SQL block", None, "SELECT 1", NO),
    (44, "empty answer", "", EMPTY, NO),
    (44, "comment before the query", "-- c\nSELECT 1", "SELECT 1", ALL),
    (46, "trailing comment", "SELECT name FROM emp -- all", "SELECT name FROM emp", ALL),
    (46, "limit in a name", "SELECT speed_limit FROM road", "SELECT speed_limit FROM road;", ALL),
    (46, "long, other order", "SELECT n FROM long ORDER BY n DESC", "SELECT n FROM long", ALL),
    (46, "long, other tail", "SELECT CASE WHEN n > 19000 THEN 0 ELSE n END FROM long",
     "SELECT n FROM long", NO),
    (47, "query_only off", "PRAGMA query_only = OFF", EMPTY, NO),
    (49, "alias", "SELECT name AS who FROM emp", "SELECT name FROM emp", ALL),
    (49, "same columns, other values", "SELECT name FROM dept", "SELECT name FROM emp", NO),
    (49, "same letters", "SELECT 'ab'", "SELECT 'ba'", NO),
    (50, "empty against a row", EMPTY, "SELECT name FROM dept LIMIT 1", NO),
    (50, "one row for three", "SELECT 20.0", "SELECT 20.0 FROM emp", (True, False, False)),
    (50, "one row of many", "SELECT name, pay FROM emp LIMIT 1", "SELECT name, pay FROM emp", NO),
    (51, "error and error", "SELECT x FROM y", "SELECT x FROM z", NOTHING),
    (51, "SQLite's own syntax", "SELECT [name] FROM `emp` WHERE name GLOB 'A*' LIMIT 0, 5",
     "SELECT 'Ann'", ALL),
    (52, "types", "SELECT '10.0'", "SELECT 10.0", NO),
    (55, "column named release", "SELECT release FROM road", "SELECT r.release FROM road r", ALL),
    (55, "schema table", "SELECT name FROM sqlite_master WHERE name = 'emp'", "SELECT 'emp'", NO),
    (55, "large cell", "SELECT hex(zeroblob(30000000))", "SELECT 1", NO),
    (56, "3 and 3.0", "SELECT 3", "SELECT 3.0", ALL),
    (56, "VALUES", "VALUES (1), (2)", "SELECT 1 UNION SELECT 2", ALL),
    (56, "table-valued pragma", "SELECT count(*) FROM pragma_table_info('emp')", "SELECT 6", NO),
    (56, "blob bomb", "SELECT hex(randomblob(40000000))", "SELECT 1", NO),
    (58, "name that is none", 'SELECT "nope_col" FROM dept', "SELECT name FROM dept", NO),
    (58, "several statements", "SELECT name FROM emp; SELECT 1", "SELECT name FROM emp", NO),
    (58, "text that is not UTF-8", "SELECT CAST(x'ff' AS TEXT)", "SELECT CAST(x'ff' AS TEXT) AS t",
     ALL),
    (58, "two texts that are not UTF-8", "SELECT CAST(x'fe' AS TEXT)", "SELECT CAST(x'ff' AS TEXT)",
     NO),
    (58, "NULL first", "SELECT boss FROM emp ORDER BY boss",
     "SELECT boss FROM emp ORDER BY boss NULLS LAST", (True, False, False)),
    (58, "1 and '1'", "SELECT 1", "SELECT '1'", NO),
    (58, "1 and TRUE", "SELECT 1", "SELECT TRUE", ALL),
    (58, "tie and limit", "SELECT name FROM emp ORDER BY pay DESC LIMIT 1",
     "SELECT name FROM emp ORDER BY pay DESC, id DESC LIMIT 1", NO),
]  # fmt: skip


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    path = tmp_path_factory.mktemp("company") / "company.sqlite"
    create_database(path, SCRIPT)
    before = hashlib.sha256(path.read_bytes()).digest()
    yield path
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=2) as executor:
        yield executor


@pytest.fixture
def judge(executor, company):
    def judge(predicted, gold, match=BIRD):
        return executor.judge([Pair(company, predicted, gold)], match=match)[0]

    return judge


@pytest.mark.parametrize(
    ("number", "case", "predicted", "gold", "verdicts"), VERDICTS, ids=lambda v: str(v)[:24]
)
def test_the_verdict_is_right_where_another_system_was_wrong(
    judge, number, case, predicted, gold, verdicts
):
    assert tuple(judge(predicted, gold, match).correct for match in Match) == verdicts


@pytest.mark.parametrize("match", Match)
def test_all_verdicts_come_out_the_same_when_judged_together(executor, company, match):
    """17, 53: no prediction touches what the others see; 4: nothing is matched by position."""
    pairs = [Pair(company, predicted, gold) for _, _, predicted, gold, _ in VERDICTS]
    position = list(Match).index(match)
    for order in (pairs, pairs[::-1]):
        verdicts = dict(zip(order, executor.judge(order, match=match), strict=True))
        for pair, (*_, expected) in zip(pairs, VERDICTS, strict=True):
            assert verdicts[pair].correct == expected[position], pair


def test_a_gold_that_does_not_run_says_so_and_judges_nobody(judge):
    """20, 40, 44, 51"""
    verdict = judge("SELECT 1", "SELECT pay FROM nowhere")
    assert verdict.correct is None
    assert verdict.predicted.ok
    assert verdict.gold.kind == "no such table"
    assert "no such table: nowhere" in verdict.reason


def test_text_that_is_not_sql_is_an_error_and_not_executable(judge):
    """34, 43, 45: what a reward for executability would look at."""
    for text in ("this is not sql", "I think SELECT name FROM emp", "```sql\nSELECT 1\n```"):
        assert judge(text, "SELECT 1").predicted.status is Status.ERROR
    for text in ("commit", "DROP TABLE emp", "EXPLAIN SELECT 1", "PRAGMA user_version"):
        assert judge(text, "SELECT 1").predicted.status is Status.REFUSED


def test_a_result_over_the_limit_is_never_cut_and_compared(company):
    """11, 46, 55: alike in the first rows, different after them."""
    pair = Pair(company, "SELECT n, 0 FROM long", "SELECT n, tail FROM long")
    with Executor(workers=1, limits=Limits(rows=10_000)) as executor:
        verdict = executor.judge([pair], match=BIRD)[0]
    assert verdict.correct is None
    assert verdict.gold.status is verdict.predicted.status is Status.TOO_LARGE


def test_a_timeout_is_no_result_and_costs_the_others_nothing(company):
    """13, 25, 55, 56: one instruction that searches for seconds, between two honest pairs."""
    pairs = [
        Pair(company, "SELECT 1", "SELECT 1"),
        Pair(company, SINGLE_INSTRUCTION, "SELECT 0"),
        Pair(company, "SELECT name FROM emp", "SELECT name FROM emp"),
    ]
    with Executor(workers=1, limits=Limits(seconds=0.3)) as executor:
        verdicts = executor.judge(pairs, match=BIRD)
    assert [verdict.correct for verdict in verdicts] == [True, False, True]
    assert verdicts[1].predicted.status is Status.TIMEOUT


def test_random_numbers_are_drawn_each_time_and_marked(executor, company):
    """19, 54, 55: chance is not kept as if it were a result."""
    statement = Statement(company, "SELECT random()")
    first, second = (executor.run([statement])[0] for _ in range(2))
    assert first.volatile
    assert first.digest != second.digest


def test_a_vote_groups_by_the_whole_result_and_counts_zeros(executor, company):
    """36, 37, 56: the digest is the reward's equality, not a shortened or retyped print."""

    def digest(sql):
        return executor.run([Statement(company, sql)])[0].digest

    assert digest("SELECT 0") is not None
    assert digest("SELECT 3") == digest("SELECT 3.0")
    assert digest("SELECT 1, 2") != digest("SELECT 2, 1")
    assert digest(f"SELECT '{'x' * 300}a'") != digest(f"SELECT '{'x' * 300}b'")
    assert digest("SELECT e.name, d.name FROM emp e, dept d") != digest(
        "SELECT d.name, d.name FROM emp e, dept d"
    )


@pytest.mark.parametrize(("predicted", "gold"), [p[2:4] for p in VERDICTS])
def test_equal_digests_are_what_bird_calls_correct(executor, company, predicted, gold):
    """56: group and reward never part."""
    mine, theirs = executor.run([Statement(company, predicted), Statement(company, gold)])
    if mine.ok and theirs.ok:
        verdict = executor.judge([Pair(company, predicted, gold)], match=BIRD)[0]
        assert verdict.correct is (mine.digest == theirs.digest)


@pytest.mark.parametrize("match", [Match.SPIDER, Match.STRICT])
@pytest.mark.parametrize(("predicted", "gold"), [p[2:4] for p in VERDICTS])
def test_equal_digests_of_a_mode_are_what_it_calls_correct(
    executor, company, predicted, gold, match
):
    """The order of rows aside, which only a gold query can ask for."""
    statements = [Statement(company, predicted), Statement(company, gold)]
    mine, theirs = executor.run(statements, match=match)
    if mine.ok and theirs.ok:
        verdict = executor.judge([Pair(company, predicted, gold)], match=match)[0]
        if verdict.correct or not orders_rows(gold):
            assert verdict.correct is (mine.digest == theirs.digest)


def test_a_digest_belongs_to_its_mode(executor, company):
    def equal(first, second):
        pairs = [Statement(company, sql) for sql in (first, second)]
        return [
            match.value
            for match in Match
            if len({execution.digest for execution in executor.run(pairs, match=match)}) == 1
        ]

    assert equal("SELECT 1, 2", "SELECT 2, 1") == ["spider"]
    assert equal("SELECT dept_id FROM emp", "SELECT DISTINCT dept_id FROM emp") == [
        "bird",
        "spider",
    ]
    assert equal("SELECT 0.1 + 0.2", "SELECT 0.3") == ["strict"]
    assert equal("SELECT 1 UNION SELECT 2 ORDER BY 1", "SELECT 1 UNION SELECT 2") == [*Match]
    two_rows = "SELECT 1, 2 UNION ALL SELECT 2, 1"
    assert equal(two_rows, "SELECT 2, 1 UNION ALL SELECT 1, 2") == [*Match]
    assert equal(two_rows, "SELECT 1, 1 UNION ALL SELECT 2, 2") == []


def test_a_gold_is_correct_by_itself(executor, company):
    """5: not so with the official evaluators."""
    golds = [gold for *_, gold, verdicts in VERDICTS if verdicts != NOTHING]
    for match in Match:
        pairs = [Pair(company, gold, gold) for gold in golds]
        assert all(verdict.correct for verdict in executor.judge(pairs, match=match))


def test_nothing_is_written_where_the_program_runs(executor, company, monkeypatch, tmp_path):
    """3, 47: ATTACH and VACUUM INTO would create files."""
    monkeypatch.chdir(tmp_path)
    with Executor(workers=1) as fresh:
        for sql in ("ATTACH 'a.sqlite' AS a", "VACUUM INTO 'b.sqlite'", "SELECT 1"):
            fresh.run([Statement(company, sql)])
    assert list(Path().iterdir()) == []


def test_it_works_on_a_python_without_loadable_extensions():
    """57: nothing here asks a connection for `enable_load_extension`."""
    room = Path(__file__).parent.parent / "slmsql" / "execution"
    assert not [file for file in room.glob("*.py") if "enable_load_extension" in file.read_text()]
