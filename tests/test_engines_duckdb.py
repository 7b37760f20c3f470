"""DuckDB files and folders of tables: judged, read and asked as SQLite is, and never changed."""

import hashlib
import json
import subprocess
import sys

import pytest

from scripts.bench import hostile_sql
from slmsql.errors import InputError
from slmsql.evaluation.judging import evaluate
from slmsql.execution import Executor, Limits, Pair, Statement, Status, database_fault, fingerprint
from slmsql.match import Match
from slmsql.prompt.build import PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions
from slmsql.schema.reading import read_schema
from slmsql.values.finding import find_values
from tests.running_server import ROOT, answer, start, stop
from tests.stand_in import Server

duckdb = pytest.importorskip("duckdb", reason="needs DuckDB; pip install -e .[duckdb]")

SHOP = """
CREATE TABLE artist (id INTEGER PRIMARY KEY, name VARCHAR);
CREATE TABLE album (
    id INTEGER PRIMARY KEY, title VARCHAR, artist_id INTEGER REFERENCES artist (id), "order" DATE
);
COMMENT ON COLUMN album.title IS 'as on the cover';
CREATE SEQUENCE numbers;
INSERT INTO artist VALUES (1, 'AC/DC'), (2, '<b>Bold</b>');
INSERT INTO album VALUES
    (1, 'Rock', 1, '2020-01-01'), (2, 'Restless', 1, '2021-01-01'), (3, 'Quiet', 2, NULL);
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("duckdb")


@pytest.fixture(scope="module")
def shop(folder):
    path = folder / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(SHOP)
    return path


@pytest.fixture(scope="module")
def executor():
    limits = Limits(seconds=2, rows=2000, cell_bytes=2**18, memory=2**28)
    with Executor(workers=1, limits=limits) as executor:
        yield executor


@pytest.fixture
def sales(tmp_path, monkeypatch):
    """A folder of three CSV files."""
    monkeypatch.setenv("SLMSQL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "customers.csv").write_text("id,name,city\n1,Ann,Ulm\n2,Bob,Jena\n")
    (folder / "orders.csv").write_text("id,customer_id,day\n7,1,2024-05-01\n8,1,2024-05-02\n")
    (folder / "items.csv").write_text("order_id,article,price\n7,pen,1.5\n7,ink,2.25\n8,pen,1.5\n")
    return folder


def run(executor, database, sql, preview=10):
    (execution,) = executor.run([Statement(database, sql)], preview=preview)
    return execution


def test_predictions_are_judged_in_all_modes(executor, shop):
    gold = "SELECT name, count(*) FROM artist JOIN album ON artist.id = artist_id GROUP BY name"
    swapped = gold.replace("name, count(*)", "count(*), name")
    pairs = [Pair(shop, gold, gold), Pair(shop, swapped, gold), Pair(shop, "SELECT nme", gold)]
    for match, expected in (
        (Match.BIRD, [True, False, False]),
        (Match.SPIDER, [True, True, False]),
    ):
        assert [v.correct for v in executor.judge(pairs, match=match)] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("TRUE", 1),
        ("1.50::DECIMAL(9, 2)", 1.5),
        ("2.00::DECIMAL(9, 2)", 2),
        ("sum(2)", 2),
        ("'NaN'::DOUBLE", "NaN"),
        ("'-Infinity'::DOUBLE", float("-inf")),
        ("DATE '2020-01-02'", "2020-01-02"),
        ("TIMESTAMP '2020-01-02 03:04:05.500'", "2020-01-02 03:04:05.5"),
        ("TIMESTAMPTZ '2020-01-02 03:04:05+02'", "2020-01-02 01:04:05+00"),
        ("TIME '03:04:05'", "03:04:05"),
        ("INTERVAL 26 HOURS", "1 day 02:00:00"),
        ("[1, NULL]", "[1, null]"),
        ("{'a': DATE '2020-01-02'}", '{"a": "2020-01-02"}'),
        ("'{\"a\": 1}'::JSON", '{"a": 1}'),
        ("'ab'::BLOB", b"ab"),
        ("'0d4c5bd5-6b0d-4f5f-8f7b-7a1a2ab3c4d5'::UUID", "0d4c5bd5-6b0d-4f5f-8f7b-7a1a2ab3c4d5"),
        ("NULL", None),
        ("170141183460469231731687303715884105727::HUGEINT", 2**127 - 1),
    ],
)
def test_values_become_what_sqlite_would_hold(executor, shop, value, expected):
    assert run(executor, shop, f"SELECT {value}").rows == ((expected,),)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELEC 1", "syntax"),
        ("SELECT * FROM nothing", "no such table"),
        ("SELECT nothing FROM artist", "no such column"),
        ("SELECT a.nothing FROM artist a", "no such column"),
        ("SELECT id FROM artist, album", "ambiguous"),
        ("SELECT nothing(1)", "function"),
        ("SELECT name, count(*) FROM artist", "aggregate"),
        ("SELECT 1 UNION SELECT 1, 2", "columns"),
        ("SELECT CAST('a' AS INTEGER)", "type"),
        ("SELECT 9223372036854775807 + 1", "overflow"),
        ("", "empty"),
        ("SELECT '\ud800'", "encoding"),
    ],
)
def test_an_error_has_its_class(executor, shop, sql, kind):
    execution = run(executor, shop, sql)
    assert (execution.status, execution.kind) == (Status.ERROR, kind), execution.error


@pytest.mark.parametrize(
    ("sql", "status", "kind"),
    [
        ("SELECT i FROM range(1000000000) r(i)", "too_large", "rows"),
        ("SELECT repeat('x', 300000)", "too_large", "cell_bytes"),
        ("SELECT list(i) FROM range(100000000) r(i)", "too_large", "memory"),
    ],
)
def test_a_large_result_is_stopped(executor, shop, sql, status, kind):
    execution = run(executor, shop, sql)
    assert (execution.status, execution.kind) == (status, kind), execution.error


@pytest.mark.slow
def test_an_endless_statement_ends_after_its_processor_time(executor, shop):
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7"
    executions = executor.run([Statement(shop, endless), Statement(shop, "SELECT 1")])
    assert [e.status for e in executions] == [Status.TIMEOUT, Status.OK]
    assert executions[0].kind == "seconds"


def test_hostile_statements_are_refused_and_change_nothing(executor, shop, folder):
    secret = folder / "secret.txt"
    secret.write_text("hello")
    before = {f.name: hashlib.sha256(f.read_bytes()).digest() for f in folder.iterdir()}
    texts = [sql.format(folder=folder, secret=secret) for sql in hostile_sql.DUCKDB]
    for sql, execution in zip(
        texts, executor.run([Statement(shop, s) for s in texts]), strict=True
    ):
        assert execution.status is Status.REFUSED, (sql, execution)
    after = {f.name: hashlib.sha256(f.read_bytes()).digest() for f in folder.iterdir()}
    assert after == before


def test_duckdb_itself_keeps_to_the_file_whatever_we_let_through(shop, folder):
    from slmsql.execution.engines.duckdb_file import connect

    texts = ("read_text('/etc/passwd')", "'/etc/passwd'", "glob('/*')", "read_duckdb('/tmp/x')")
    with connect(str(shop)) as connection:
        for source in texts:
            with pytest.raises(duckdb.Error):
                connection.execute(f"SELECT * FROM {source}").fetchall()
        for sql in ("INSERT INTO artist VALUES (9, '')", "SET enable_external_access = true"):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)


def test_random_results_are_volatile(executor, shop):
    assert run(executor, shop, "SELECT random()").volatile
    assert not run(executor, shop, "SELECT 1").volatile


def test_the_schema_has_types_keys_comments_and_values(shop):
    assert read_schema(shop).text() == (
        "CREATE TABLE artist (\n"
        "    id INTEGER, -- example: 1, 2\n"
        "    name VARCHAR, -- example: 'AC/DC', '<b>Bold</b>'\n"
        "    PRIMARY KEY (id)\n"
        ");\n\n"
        "CREATE TABLE album (\n"
        "    id INTEGER, -- example: 1, 2\n"
        "    title VARCHAR, -- as on the cover; example: 'Rock', 'Restless'\n"
        "    artist_id INTEGER, -- example: 1, 2\n"
        "    \"order\" DATE, -- example: '2020-01-01', '2021-01-01'\n"
        "    PRIMARY KEY (id),\n"
        "    FOREIGN KEY (artist_id) REFERENCES artist (id)\n"
        ");"
    )


def test_prompts_name_the_dialect_and_show_values(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("SLMSQL_CACHE", str(tmp_path))
    question = Question("q", "When was Restless ordered?", "shop", shop)
    text = json.dumps(build_prompt(question, PromptSettings(retrieve_values=True)).messages)
    assert "DuckDB" in text
    assert "SQLite" not in text
    assert find_values("Restless?", shop)["album", "title"][0] == "Restless"


def test_a_folder_of_csv_files_is_a_database(executor, sales):
    sql = (
        "SELECT name, sum(price) FROM customers c JOIN orders o ON o.customer_id = c.id"
        " JOIN items ON order_id = o.id GROUP BY name"
    )
    assert run(executor, sales, sql).rows == (("Ann", 5.25),)
    assert [table.name for table in read_schema(sales).tables] == ["customers", "items", "orders"]
    assert run(executor, sales, "SELECT max(day) FROM orders").rows == (("2024-05-02",),)


def test_a_changed_folder_is_read_again(executor, sales):
    count = "SELECT count(*) FROM customers"
    before = fingerprint(sales)
    assert run(executor, sales, count).rows == ((2,),)
    (sales / "customers.csv").write_text("id,name,city\n1,Ann,Ulm\n")
    assert run(executor, sales, count).rows == ((1,),)
    assert fingerprint(sales) != before


def test_json_lines_and_parquet_are_tables_too(executor, sales):
    (sales / "visits.jsonl").write_text('{"page": "a", "n": 1}\n{"page": "b", "n": 2}\n')
    duckdb.sql(f"COPY (SELECT 5 AS five) TO '{sales}/fives.parquet'")
    assert run(executor, sales, "SELECT sum(n), max(five) FROM visits, fives").rows == ((3, 5),)


def test_unusable_folders_and_files_say_why(tmp_path, monkeypatch, shop):
    monkeypatch.setenv("SLMSQL_CACHE", str(tmp_path / "cache"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert database_fault(empty) == "a folder, not a database"
    (empty / "a.csv").write_text("x\n1\n")
    (empty / "A.json").write_text("{}")
    with pytest.raises(InputError, match="several files are called 'a'"):
        read_schema(empty)
    (empty / "A.json").unlink()
    (empty / "b.parquet").write_text("not a Parquet file")
    with pytest.raises(InputError, match=r"b\.parquet: .*"):
        read_schema(empty)
    cut = tmp_path / "cut.duckdb"
    cut.write_bytes(shop.read_bytes()[:5000])
    assert database_fault(cut) == "damaged database"


def test_a_file_that_another_program_writes_gives_a_fault_and_no_verdict(tmp_path):
    path = tmp_path / "busy.duckdb"
    write = (
        "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); c.execute('CREATE TABLE t AS"
        " SELECT 1'); c.execute('CHECKPOINT'); print(flush=True); time.sleep(60)"
    )
    writer = subprocess.Popen([sys.executable, "-c", write, str(path)], stdout=subprocess.PIPE)
    try:
        writer.stdout.readline()
        with Executor(workers=1) as executor:
            (verdict,) = executor.judge([Pair(path, "SELECT 1", "SELECT 1")], match=Match.BIRD)
        assert verdict.correct is None
        assert verdict.machine_failed
        assert "lock" in verdict.reason
    finally:
        writer.kill()
        writer.wait()


def test_questions_over_duckdb_files_are_evaluated(shop, tmp_path, executor):
    target = tmp_path / "databases" / "shop" / "shop.duckdb"
    target.parent.mkdir(parents=True)
    target.write_bytes(shop.read_bytes())
    file = tmp_path / "questions.jsonl"
    file.write_text(
        '{"question": "How many?", "db_id": "shop", "gold_sql": "SELECT count(*) FROM album"}\n'
    )
    questions = read_questions(file, tmp_path / "databases")
    assert questions[0].database == target
    predictions = {questions[0].id: "SELECT count(id) FROM album"}
    evaluation = evaluate(questions, predictions, match=Match.BIRD, executor=executor)
    assert [outcome.correct[Match.BIRD] for outcome in evaluation.outcomes] == [True]


@pytest.mark.slow
def test_ask_and_serve_answer_from_duckdb_and_from_a_folder(shop, sales):
    model = Server(always=answer)
    command = [sys.executable, "inference/ask.py", "--model", "m", "--endpoints", model.url]
    words = ["--database", str(shop), "--question", "albums"]
    done = subprocess.run(command + words, cwd=ROOT, capture_output=True, text=True)
    assert "AC/DC" in done.stdout, done.stderr
    process, client = start(model, shop, "--databases", str(shop), str(sales))
    try:
        names = {d["name"]: len(d["tables"]) for d in client.get("/api/databases").json()}
        assert names == {"shop": 2, "sales": 3}
        reply = client.post("/api/ask", json={"question": "albums", "database": "shop"}).json()
        assert reply["rows"] == [["<b>Bold</b>", 1], ["AC/DC", 2]]
    finally:
        stop(process)
        model.shutdown()


def test_a_process_that_computes_for_duckdb_lets_others_go_first(shop):
    script = f"""if True:
        import os
        from slmsql.execution import Limits
        from slmsql.execution.opening import open_sandbox
        open_sandbox({str(shop)!r}, Limits())
        print(os.getpriority(os.PRIO_PROCESS, 0))
    """
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert int(ran.stdout) >= 10


@pytest.mark.slow  # DuckDB shows progress from two seconds on
def test_a_long_query_prints_no_progress_into_the_pipe_that_carries_the_answers(shop, capfd):
    sql = "SELECT count(*) FROM range(500_000_000) AS numbers WHERE range * range % 7 = 3"
    with Executor(workers=1, limits=Limits(seconds=60)) as executor:
        [execution] = executor.run([Statement(shop, sql)])
    assert execution.ok
    assert capfd.readouterr() == ("", "")
