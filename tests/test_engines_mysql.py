"""MariaDB, on a real server: judged, read and asked as SQLite is, and never changed."""

import threading
from contextlib import suppress
from pathlib import Path

import pytest

from rewards.judge import Judge
from scripts.bench import hostile_sql
from scripts.bench.hostile import LIMITS, attack
from slmsql.errors import InputError
from slmsql.execution import (
    Executor,
    Limits,
    Pair,
    Statement,
    Status,
    check_usable,
    create_database,
    database_fault,
)
from slmsql.execution.engines.copying import copy_database
from slmsql.execution.engines.server_sandbox import GRACE
from slmsql.match import Match
from slmsql.prompt.build import PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.schema.reading import read_schema
from tests.asked_databases import sampled_voted_scored
from tests.real_servers import (
    NO_MARIADB,
    PASSWORD,
    kinds_without_a_server,
    mariadb_programs,
    running_mariadb,
)
from tests.running_server import SHOP

pytest.importorskip("pymysql", reason="needs PyMySQL; pip install -e .[mysql]")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(mariadb_programs() is None, reason=NO_MARIADB),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_mariadb() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYSQL_PWD", PASSWORD)
        source = tmp_path_factory.mktemp("shop") / "shop.sqlite"
        create_database(source, SHOP)
        copy_database(source, Path(server.url("shop", "owner")))
        yield server


@pytest.fixture(scope="module")
def shop(server):
    return Path(server.url("shop"))


@pytest.fixture(scope="module")
def executor(shop):
    with Executor(workers=1, limits=Limits(seconds=1, rows=2000, cell_bytes=2**18)) as executor:
        yield executor


def run(executor, database, sql):
    (execution,) = executor.run([Statement(database, sql)], preview=10)
    return execution


def content(server):
    return [
        server.execute(query)
        for query in (
            "SELECT * FROM shop.artist",
            "SELECT * FROM shop.album",
            "SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2",
            "SELECT @@global.read_only, @@global.max_statement_time",
        )
    ]


def test_predictions_are_judged_in_all_modes(executor, shop):
    gold = "SELECT name, count(*) FROM artist JOIN album ON artist.id = artist_id GROUP BY name"
    swapped = gold.replace("name, count(*)", "count(*), name")
    pairs = [Pair(shop, gold, gold), Pair(shop, swapped, gold), Pair(shop, "SELECT nme", gold)]
    for match, expected in (
        (Match.BIRD, [True, False, False]),
        (Match.SPIDER, [True, True, False]),
    ):
        assert [v.correct for v in executor.judge(pairs, match=match)] == expected


def test_values_become_what_sqlite_would_hold(executor, shop):
    values = {
        "TRUE": 1,
        "1.50": 1.5,
        "2.00": 2,
        "DATE '2020-01-02'": "2020-01-02",
        "TIMESTAMP '2020-01-02 03:04:05.500000'": "2020-01-02 03:04:05.5",
        "TIME '03:04:05'": "03:04:05",
        "x'00ff'": b"\x00\xff",
        "JSON_OBJECT('a', 1)": '{"a": 1}',
        "NULL": None,
    }
    execution = run(executor, shop, f"SELECT {', '.join(values)}")
    assert execution.rows == (tuple(values.values()),), execution.error


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1 FRM artist x y", "syntax"),
        ("SELECT * FROM nothing", "no such table"),
        ("SELECT nothing FROM artist", "no such column"),
        ("SELECT id FROM artist, album", "ambiguous"),
        ("SELECT nothing(1)", "function"),
        ("SELECT count(count(*)) FROM artist", "aggregate"),
        ("SELECT 1 UNION SELECT 1, 2", "columns"),
        ("SELECT 9223372036854775807 + 1", "overflow"),
    ],
)
def test_an_error_has_its_class(executor, shop, sql, kind):
    execution = run(executor, shop, sql)
    assert (execution.status, execution.kind) == (Status.ERROR, kind), execution.error


@pytest.mark.parametrize(
    ("sql", "status", "kind"),
    [
        ("SELECT count(*) FROM seq_1_to_1000000000 a, artist b WHERE a.seq > b.id", "timeout",
         "seconds"),
        ("SELECT seq FROM seq_1_to_100000000", "too_large", "rows"),
        ("SELECT repeat('x', 300000)", "too_large", "cell_bytes"),
    ],
)  # fmt: skip
def test_a_statement_keeps_to_its_limits(executor, server, shop, sql, status, kind):
    execution = run(executor, shop, sql)
    assert (execution.status, execution.kind) == (status, kind), execution.error
    assert run(executor, shop, "SELECT 1").ok


@pytest.mark.parametrize("user", ["reader", "owner"])
def test_hostile_statements_change_nothing_not_even_for_a_superuser(executor, server, user):
    before = content(server)
    database = Path(server.url("shop", user))
    for sql in hostile_sql.MYSQL:
        execution = run(executor, database, sql)
        is_wrong = execution.kind == "syntax"  # several statements: the protocol takes one
        assert execution.status is Status.REFUSED or is_wrong, (sql, execution)
    assert content(server) == before
    assert not [*Path("/tmp").glob("slmsql-out*")]


def test_hundreds_of_hostile_statements_leave_the_server_as_it_was(server, shop):
    found = attack(shop, Path(server.url("shop", "owner")), 250)
    assert found.changed == found.leaked == found.written == found.running == found.faults == []
    assert found.longest < LIMITS.seconds + GRACE
    assert {"refused", "error", "timeout", "ok"} <= set(found.statuses)


def test_the_server_itself_refuses_to_write(server):
    import pymysql

    from slmsql.execution.engines.address import server_address
    from slmsql.execution.engines.mysql import connect

    with connect(server_address(Path(server.url("shop", "owner"))), 1) as connection:
        for sql in ("INSERT INTO artist VALUES (7, 'x')", "SELECT sleep(5) FROM artist, album"):
            with pytest.raises(pymysql.Error):
                connection.query(sql)


def test_variables_do_not_outlive_their_statement(executor, shop):
    assert run(executor, shop, "SELECT @n := 7").rows == ((7,),)
    assert run(executor, shop, "SELECT @n").rows == ((None,),)


def test_the_schema_has_types_keys_and_values_and_the_prompt_the_dialect(shop):
    text = read_schema(shop).text()
    assert "FOREIGN KEY (artist_id) REFERENCES artist (id)" in text
    assert "name longtext, -- example: 'AC/DC', '<b>Bold</b>'" in text
    messages = build_prompt(Question("q", "?", "shop", shop), PromptSettings()).messages
    assert "MySQL" in str(messages)


def test_candidates_are_sampled_voted_and_scored_and_no_password_is_written(shop, tmp_path):
    report, texts = sampled_voted_scored([shop], tmp_path)
    assert (report["execution_accuracy"], report["n"]) == (100.0, 1)
    assert str(shop) in texts
    assert PASSWORD not in texts
    missing = Path(str(shop).replace("/shop", "/nothing"))
    assert database_fault(missing) == "no database"


def test_a_wrong_name_gives_one_line_and_no_password(shop, monkeypatch):
    with pytest.raises(InputError, match="nothing"):
        check_usable(Path(str(shop).replace("/shop", "/nothing")))
    monkeypatch.setenv("MYSQL_PWD", "wrong-secret")
    with pytest.raises(InputError, match="Access denied") as raised:
        check_usable(shop)
    assert "secret" not in str(raised.value)
    assert database_fault(shop) == "no connection to the server"


def test_rewards_survive_a_restart_of_the_server(server, shop):
    judge = Judge(workers=1)
    gold = "SELECT count(*) FROM album"
    verdicts = []
    try:
        for step in range(4):
            if step == 2:
                server.stop()
                threading.Timer(0.5, server.start).start()
            pairs = [Pair(shop, f"SELECT 3 + {n} - {n} + {step}", gold) for n in range(10)]
            verdicts += [(step == 0, v.correct) for v in judge.verdicts(pairs, Match.BIRD)]
    finally:
        judge.close()
    assert all(expected == correct for expected, correct in verdicts)


def test_a_server_without_free_connections_is_waited_for(server, shop):
    import pymysql

    (before,) = server.execute("SELECT @@global.max_connections")
    server.execute("SET GLOBAL max_connections = 10")
    held = []
    try:
        where = {"host": "127.0.0.1", "port": server.port, "user": "reader"}
        with suppress(pymysql.Error):  # there are as many as there can be
            while True:
                held.append(pymysql.connect(**where, password=PASSWORD))
        with pytest.raises(InputError, match="Too many connections"):
            check_usable(shop)
        threading.Timer(2, lambda: [connection.close() for connection in held]).start()
        with Executor(workers=2) as executor:
            executions = executor.run([Statement(shop, f"SELECT {n}") for n in range(10)])
        assert all(execution.ok for execution in executions)
    finally:
        server.execute("SET GLOBAL max_connections = %s", before)


def test_a_server_that_is_gone_gives_faults_and_never_a_verdict(server, shop, monkeypatch):
    server.stop()
    try:
        with pytest.raises(InputError, match="Can't connect"):
            check_usable(shop)
        assert kinds_without_a_server(shop, monkeypatch) == {"infrastructure"}
    finally:
        server.start()
