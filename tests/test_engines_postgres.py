"""PostgreSQL, on a real server: judged, read and asked as SQLite is, and never changed."""

import json
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest

from rewards.judge import Judge
from scripts.bench import hostile_sql
from scripts.bench.hostile import LIMITS, attack
from slmsql.consistency.candidates import Candidate, CandidateSet, run_candidates
from slmsql.errors import InputError
from slmsql.evaluation.judging import evaluate
from slmsql.execution import (
    Executor,
    Limits,
    Pair,
    Statement,
    Status,
    check_usable,
    create_database,
    database_fault,
    fingerprint,
)
from slmsql.execution.engines.copying import copy_database
from slmsql.execution.engines.server_sandbox import GRACE
from slmsql.execution.opening import open_sandbox
from slmsql.files import read_jsonl, write_json, write_jsonl
from slmsql.match import Match
from slmsql.prompt.build import Layout, PromptSettings, build_prompt
from slmsql.questions.gold_audit import audit
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions
from slmsql.rows.formats import grpo_row
from slmsql.schema.reading import read_schema
from slmsql.values.finding import find_values
from tests import running_server
from tests.asked_databases import sampled_voted_scored
from tests.in_process import run_here
from tests.real_servers import (
    NO_POSTGRES,
    PASSWORD,
    kinds_without_a_server,
    postgres_programs,
    running_postgres,
)
from tests.running_server import ROOT, answer, start, stop
from tests.stand_in import Server
from tests.tiny_model import tiny_model

pytest.importorskip("psycopg", reason="needs psycopg; pip install -e .[postgres]")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgres_programs() is None, reason=NO_POSTGRES),
]
SHOP = """
CREATE TABLE artist (id integer PRIMARY KEY, name text);
CREATE TABLE album (
    id integer PRIMARY KEY, title varchar(80), artist_id integer REFERENCES artist (id),
    "Order" date, price numeric(9, 2)
);
COMMENT ON COLUMN album.title IS 'as on the cover';
INSERT INTO artist VALUES (1, 'AC/DC'), (2, '<b>Bold</b>');
INSERT INTO album VALUES (1, 'Rock', 1, '2020-01-01', 9.5), (2, 'Restless', 1, '2021-01-01', 10),
    (3, 'Quiet', 2, NULL, NULL);
CREATE SCHEMA stock;
CREATE TABLE stock.shelf (id integer PRIMARY KEY, album_id integer);
CREATE SEQUENCE numbers;
CREATE TABLE locked (i integer);
"""


@pytest.fixture(scope="module")
def server():
    with running_postgres() as server:
        server.execute("CREATE DATABASE shop")
        server.execute(SHOP, "shop")
        yield server


@pytest.fixture(scope="module")
def shop(server):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        yield Path(server.url("shop"))


@pytest.fixture(scope="module")
def executor(shop):
    with Executor(workers=1, limits=Limits(seconds=1, rows=2000, cell_bytes=2**18)) as executor:
        yield executor


def run(executor, database, sql):
    (execution,) = executor.run([Statement(database, sql)], preview=10)
    return execution


def content(server):
    """All rows of the shop, its tables, and what only a superuser could change."""
    return [
        server.execute(query, "shop")
        for query in (
            "SELECT * FROM artist",
            "SELECT * FROM album",
            "SELECT relname, relkind FROM pg_class WHERE relname !~ '^pg_' ORDER BY oid",
            "SELECT last_value, is_called FROM numbers",
            "SELECT count(*) FROM pg_largeobject_metadata",
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
            "SELECT name, setting FROM pg_settings WHERE source = 'configuration file'",
        )
    ]


def sessions(server):
    """Sessions of ours that are doing something."""
    return server.execute(
        "SELECT query FROM pg_stat_activity WHERE application_name = 'slmsql' AND state <> 'idle'"
    )


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
        "true": 1,
        "1.50::numeric(9, 2)": 1.5,
        "2.00::numeric": 2,
        "sum(2)": 2,
        "'NaN'::float8": "NaN",
        "'NaN'::numeric": "NaN",
        "'-Infinity'::float8": float("-inf"),
        "date '2020-01-02'": "2020-01-02",
        "timestamp '2020-01-02 03:04:05.500'": "2020-01-02 03:04:05.5",
        "timestamptz '2020-01-02 03:04:05+02'": "2020-01-02 01:04:05+00",
        "date 'infinity'": "infinity",
        "time '03:04:05'": "03:04:05",
        "interval '26 hours'": "26:00:00",
        "ARRAY[1, NULL]": "{1,NULL}",
        "'{\"a\": 1}'::jsonb": '{"a": 1}',
        "'ab'::bytea": b"ab",
        "'0d4c5bd5-6b0d-4f5f-8f7b-7a1a2ab3c4d5'::uuid": "0d4c5bd5-6b0d-4f5f-8f7b-7a1a2ab3c4d5",
        "'ab'::char(4)": "ab  ",
        "NULL": None,
    }
    execution = run(executor, shop, f"SELECT {', '.join(values)}")
    assert execution.rows == (tuple(values.values()),)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1 FRM artist x y", "syntax"),
        ("SELECT * FROM nothing", "no such table"),
        ("SELECT nothing FROM artist", "no such column"),
        ("SELECT id FROM artist, album", "ambiguous"),
        ("SELECT nothing(1)", "function"),
        ("SELECT name, count(*) FROM artist", "aggregate"),
        ("SELECT 1 UNION SELECT 1, 2", "syntax"),
        ("SELECT name + 1 FROM artist", "type"),
        ("SELECT CAST(name AS integer) FROM artist", "type"),
        ("SELECT 9223372036854775807 + 1", "overflow"),
        ("SELECT FROM artist", "columns"),
        ("", "empty"),
        ("SELECT '\ud800'", "encoding"),
    ],
)
def test_an_error_has_its_class(executor, shop, sql, kind):
    execution = run(executor, shop, sql)
    assert (execution.status, execution.kind) == (Status.ERROR, kind), execution.error
    assert "\n" not in execution.error


@pytest.mark.parametrize(
    ("sql", "status", "kind"),
    [
        ("SELECT count(*) FROM generate_series(1, 1000000000)", "timeout", "seconds"),
        ("SELECT i FROM generate_series(1, 5000) i", "too_large", "rows"),
        ("SELECT repeat('x', 300000)", "too_large", "cell_bytes"),
    ],
)
def test_a_statement_keeps_to_its_limits(executor, server, shop, sql, status, kind):
    execution = run(executor, shop, sql)
    assert (execution.status, execution.kind) == (status, kind), execution.error
    assert sessions(server) == []
    assert run(executor, shop, "SELECT 1").ok


@pytest.mark.parametrize("user", ["reader", "owner"])
def test_hostile_statements_change_nothing_not_even_for_a_superuser(executor, server, user):
    before = content(server)
    database = Path(server.url("shop", user))
    for sql in hostile_sql.POSTGRES:
        execution = run(executor, database, sql)
        is_missing = execution.kind == "function"  # an extension that this server does not have
        assert execution.status is Status.REFUSED or is_missing, (sql, execution)
    assert content(server) == before
    assert sessions(server) == []
    assert not [*Path("/tmp").glob("slmsql-out*"), *Path("/tmp").glob("slmsql-program*")]


def test_hundreds_of_hostile_statements_leave_the_server_as_it_was(server, shop):
    found = attack(shop, Path(server.url("shop", "owner")), 250)
    assert found.changed == found.leaked == found.written == found.running == found.faults == []
    assert found.longest < LIMITS.seconds + GRACE
    assert {"refused", "error", "timeout", "ok"} <= set(found.statuses)


def test_functions_of_extensions_that_run_sql_are_refused(executor, server, shop):
    server.execute("CREATE EXTENSION tablefunc", "shop")
    fresh = Path(f"{shop}?search_path=public")  # another name: the catalog is read again
    try:
        sql = "SELECT * FROM crosstab('SELECT 1, 2, 3') AS t (a int, b int)"
        execution = run(executor, fresh, sql)
        assert (execution.status, execution.kind) == (Status.REFUSED, "forbidden function")
    finally:
        server.execute("DROP EXTENSION tablefunc", "shop")


def test_a_statement_that_the_server_cannot_end_does_not_hold_up_a_worker(
    server, shop, monkeypatch
):
    """One long function: PostgreSQL looks at the clock only after it."""
    monkeypatch.setattr("slmsql.execution.engines.postgres.GRACE", 0.5)
    search = "SELECT position('b' || repeat('a', 300000) in repeat('a', 400000 + 10000))"
    sandbox = open_sandbox(str(shop), Limits(seconds=0.2))
    start = time.monotonic()
    result = sandbox.execute(search)
    assert (result.status, result.kind) == (Status.TIMEOUT, "seconds"), result.error
    assert "did not end it" in result.error
    assert time.monotonic() - start < 5
    assert sandbox.execute("SELECT 1").rows == [(1,)]
    sandbox.close()


def test_the_server_itself_refuses_what_we_might_let_through(server):
    import psycopg

    from slmsql.execution.engines.address import server_address
    from slmsql.execution.engines.postgres import connect

    with connect(server_address(Path(server.url("shop", "owner"))), 1) as connection:
        for sql in (
            "INSERT INTO artist VALUES (7, 'x')",
            "SELECT pg_read_file('/etc/passwd')",
            "COPY (SELECT 1) TO PROGRAM 'touch /tmp/slmsql-program'",
            "SELECT lo_import('/etc/passwd')",
            "SELECT pg_sleep(5)",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(sql)


def test_a_table_that_another_session_locks_is_a_fault_and_no_verdict(server, shop):
    import psycopg

    with (
        psycopg.connect(
            host=str(server.folder), port=server.port, user="owner", dbname="shop"
        ) as c,
        Executor(workers=1, limits=Limits(seconds=20)) as executor,
    ):
        c.execute("LOCK TABLE locked")
        sql = "SELECT count(*) FROM locked"
        (verdict,) = executor.judge([Pair(shop, sql, sql)], match=Match.BIRD)
        assert verdict.machine_failed
        assert "lock timeout" in verdict.reason


def test_the_schema_has_types_keys_comments_and_values(shop):
    assert "locked" in (text := read_schema(shop).text())
    assert text.startswith(
        "CREATE TABLE artist (\n"
        "    id integer, -- example: 1, 2\n"
        "    name text, -- example: 'AC/DC', '<b>Bold</b>'\n"
        "    PRIMARY KEY (id)\n"
        ");\n\n"
        "CREATE TABLE album (\n"
        "    id integer, -- example: 1, 2\n"
        "    title character varying(80), -- as on the cover; example: 'Rock', 'Restless'\n"
        "    artist_id integer, -- example: 1, 2\n"
        "    \"Order\" date, -- example: '2020-01-01', '2021-01-01'\n"
        "    price numeric(9,2), -- example: 9.5, 10\n"
        "    PRIMARY KEY (id),\n"
        "    FOREIGN KEY (artist_id) REFERENCES artist (id)\n"
        ");"
    )


def test_the_search_path_chooses_among_several_schemas(executor, shop):
    stock = Path(f"{shop}?search_path=stock,public")
    assert "shelf" in [table.name for table in read_schema(stock).tables]
    assert "shelf" not in [table.name for table in read_schema(shop).tables]
    assert run(executor, stock, "SELECT count(*) FROM shelf, artist").rows == ((0,),)


def test_prompts_name_the_dialect_and_show_values(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("SLMSQL_CACHE", str(tmp_path))
    question = Question("q", "When was Restless ordered?", "shop", shop)
    text = json.dumps(build_prompt(question, PromptSettings(retrieve_values=True)).messages)
    assert "PostgreSQL" in text
    assert "SQLite" not in text
    assert find_values("Restless?", shop)["album", "title"][0] == "Restless"


def test_one_file_may_ask_several_engines_and_no_password_is_written(shop, tmp_path):
    sqlite, duckdb = tmp_path / "shop.sqlite", tmp_path / "shop.duckdb"
    create_database(sqlite, running_server.SHOP)
    copy_database(sqlite, duckdb)
    report, texts = sampled_voted_scored([shop, sqlite, duckdb], tmp_path)
    assert (report["execution_accuracy"], report["n"]) == (100.0, 3)
    assert str(shop) in texts
    assert PASSWORD not in texts


def test_no_process_has_the_password_in_its_title(executor, shop):
    assert run(executor, shop, "SELECT 1").ok  # a worker is connected now
    titles = b"".join(title_of(process) for process in Path("/proc").glob("[0-9]*"))
    assert b"slmsql.execution.worker" in titles
    assert PASSWORD.encode() not in titles


def title_of(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def test_a_run_on_a_url_with_a_password_is_not_recorded(shop):
    url = str(shop).replace("reader@", "reader:topsecret@")
    with pytest.raises(InputError, match="must not hold a password") as raised:
        fingerprint(Path(url))  # as the record of a training run does
    assert "topsecret" not in "".join(traceback.format_exception(raised.value))


def test_gold_results_of_a_server_are_not_kept_on_disk(server, shop, tmp_path):
    sql = "SELECT count(*) FROM artist"
    with Executor(workers=1, cache=tmp_path) as executor:
        assert executor.judge([Pair(shop, sql, sql)], match=Match.BIRD)[0].correct
    assert not list(tmp_path.iterdir())


def test_the_databases_of_a_server_that_are_missing_are_left_out(server, tmp_path, executor):
    file = tmp_path / "questions.jsonl"
    gold = '"gold_sql": "SELECT count(*) FROM album"'
    file.write_text(
        f'{{"question": "How many?", "db_id": "shop", {gold}}}\n'
        f'{{"question": "How many?", "db_id": "nothing", {gold}}}\n'
    )
    questions = read_questions(file, Path(server.url("").rstrip("/")))
    predictions = {question.id: "SELECT count(id) FROM album" for question in questions}
    evaluation = evaluate(questions, predictions, match=Match.BIRD, executor=executor)
    assert [outcome.correct[Match.BIRD] for outcome in evaluation.outcomes] == [True]
    assert evaluation.left_out == {"no database": 1}


def test_gold_queries_of_a_server_are_audited_but_for_ties(shop, executor, capsys):
    golds = ["SELECT name FROM artist", "SELECT nobody", "SELECT random() FROM artist"]
    questions = [Question(str(n), f"{n}?", "shop", shop, gold_sql=g) for n, g in enumerate(golds)]
    findings = [len(entry.findings) for entry in audit(questions, executor)]
    assert findings == [0, 1, 1]
    assert "ties: shop is not SQLite, skipped" in capsys.readouterr().err


def test_a_fingerprint_notices_a_changed_table(server, shop):
    before = fingerprint(shop)
    server.execute("CREATE TABLE added (i int)", "shop")
    assert fingerprint(shop) != before
    server.execute("DROP TABLE added", "shop")
    assert fingerprint(shop) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda url: url.replace("/shop", "/nothing"), 'database "nothing" does not exist'),
        (lambda url: url.replace("reader@", "stranger@"), "authentication failed"),
        (lambda url: f"{url}?colour=red", "unknown option 'colour'"),
        (lambda url: url.replace("reader@", "reader:x@"), "must not hold a password"),
    ],
)
def test_a_wrong_name_gives_one_line(shop, change, message):
    with pytest.raises(InputError, match=message) as raised:
        check_usable(Path(change(str(shop))))
    assert "\n" not in str(raised.value)


def test_a_wrong_password_is_a_fault_and_stands_nowhere(shop, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "wrong-secret")
    with Executor(workers=1) as executor:
        (verdict,) = executor.judge([Pair(shop, "SELECT 1", "SELECT 1")], match=Match.BIRD)
    assert verdict.machine_failed
    assert "authentication failed" in verdict.reason
    assert "secret" not in verdict.reason
    assert database_fault(shop) == "no connection to the server"


def test_candidates_that_a_server_could_not_run_are_not_recorded_as_wrong(shop, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "wrong")
    sets = [CandidateSet("q", "shop", shop, (Candidate("SELECT 1"),))]
    with Executor(workers=1) as executor, pytest.raises(InputError, match="shop: PostgreSQL"):
        run_candidates(sets, executor)


def test_ask_and_serve_answer_from_postgres(shop):
    model = Server(always=answer)
    command = [sys.executable, "inference/ask.py", "--model", "m", "--endpoints", model.url]
    words = ["--database", str(shop), "--question", "albums"]
    done = subprocess.run(command + words, cwd=ROOT, capture_output=True, text=True)
    assert "AC/DC" in done.stdout, done.stderr
    process, client = start(model, shop, PGPASSWORD=PASSWORD)
    try:
        reply = client.post("/api/ask", json={"question": "albums", "database": "shop"}).json()
        assert reply["rows"] == [["<b>Bold</b>", 1], ["AC/DC", 2]]
        (listed,) = client.get("/api/databases").json()
        assert (listed["name"], listed["dialect"]) == ("shop", "PostgreSQL")
        assert PASSWORD not in client.get("/api/databases").text + client.get("/metrics").text
    finally:
        stop(process)
        model.shutdown()


def test_rewards_survive_a_restart_of_the_server(server, shop):
    judge = Judge(workers=1)
    gold = "SELECT count(*) FROM album"
    verdicts = []
    try:
        for step in range(6):
            if step == 3:
                server.stop()
                threading.Timer(1.5, server.start).start()
            pairs = [Pair(shop, f"SELECT 3 + {n} - {n} + {step}", gold) for n in range(20)]
            verdicts += [(step == 0, v.correct) for v in judge.verdicts(pairs, Match.BIRD)]
    finally:
        judge.close()
    assert all(expected == correct for expected, correct in verdicts)


def test_a_restart_in_the_middle_of_a_statement_costs_no_verdict(server, shop):
    sql = "SELECT count(*) FROM generate_series(1, 12000000)"
    threading.Timer(0.5, server.stop).start()
    threading.Timer(2, server.start).start()
    with Executor(workers=1) as executor:
        (verdict,) = executor.judge([Pair(shop, sql, sql)], match=Match.BIRD)
    assert verdict.correct, verdict.reason


def test_grpo_survives_a_restart_of_the_server(server, shop, tmp_path, one_thread):
    """A training on given completions; the server is gone for two seconds after step 2."""
    questions = [
        Question(f"q{n}", f"{n}?", "shop", shop, gold_sql=f"SELECT {n} + count(*) FROM album")
        for n in range(8)
    ]
    rows = [
        grpo_row(q, build_prompt(q, PromptSettings()).messages, Layout.THINK) for q in questions
    ]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    texts = {
        q.id: [
            f"<think>\n{sql}\n</think>\n<answer>\n{sql}\n</answer>"
            for sql in (q.gold_sql, f"SELECT 3 + {n}", f"SELECT {n}", "SELECT nothing")
        ]
        for n, q in enumerate(questions)
    }
    write_json(tmp_path / "completions.json", texts)
    log = tmp_path / "run" / "rollouts" / "rank-00000.jsonl"

    made_before = []

    def restart():
        while not (log.exists() and '"step": 2' in log.read_text()):
            time.sleep(0.01)
        server.stop()
        made_before.extend(read_jsonl(log))
        time.sleep(2)
        server.start()

    restarting = threading.Thread(target=restart, daemon=True)
    restarting.start()
    ended = run_here(
        "tests/fixed_rollouts.py",
        *("--model_name_or_path", tiny_model(tmp_path / "model"), "--output_dir", tmp_path / "run"),
        *("--train_file", tmp_path / "rows.jsonl", "--completions", tmp_path / "completions.json"),
        *("--max_steps", 8, "--per_device_train_batch_size", 4, "--num_generations", 4),
        *("--max_completion_length", 64, "--rewards", "execution", "--use_cpu", "True"),
        *("--bf16", "False", "--report_to", "none", "--save_strategy", "no"),
    )
    restarting.join(timeout=60)
    assert len(made_before) < 8 * 4
    assert made_before
    assert ended.returncode == 0, ended.stderr[-3000:]
    paid = [one["rewards"]["execution"] for one in read_jsonl(log)]
    assert paid == [1, 1, 0, 0] * 8


def test_a_server_that_is_gone_gives_faults_and_never_a_verdict(server, shop, monkeypatch):
    server.stop()
    try:
        with pytest.raises(InputError, match="refused"):
            check_usable(shop)
        assert database_fault(shop) == "no connection to the server"
        assert kinds_without_a_server(shop, monkeypatch) == {"infrastructure"}
    finally:
        server.start()


def test_a_server_without_free_connections_is_waited_for(server, shop):
    import psycopg

    server.stop()
    server.start("-c max_connections=6 -c superuser_reserved_connections=0")
    try:
        url = str(shop).replace(":/", "://", 1)
        held = [psycopg.connect(url, password=PASSWORD) for _ in range(5)]
        threading.Timer(2, lambda: [connection.close() for connection in held]).start()
        with Executor(workers=2) as executor:
            executions = executor.run([Statement(shop, f"SELECT {n}") for n in range(10)])
        assert all(execution.ok for execution in executions)
    finally:
        server.stop()
        server.start()
