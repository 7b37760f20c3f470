"""Copies of SQLite databases: types follow the values, keys and indexes stay where they can."""

import subprocess
import sys
from pathlib import Path

import pytest

from slmsql.errors import InputError
from slmsql.execution import Executor, Statement, create_database
from slmsql.execution.engines.copying import column_kinds, copy_database
from slmsql.schema.reading import read_schema
from tests.real_servers import NO_POSTGRES, postgres_programs, running_postgres
from tests.running_server import ROOT

pytest.importorskip("duckdb", reason="needs DuckDB; pip install -e .[duckdb]")

ODD = """
CREATE TABLE Child (id INTEGER PRIMARY KEY, "Parent Code" TEXT REFERENCES parent (code), w TEXT);
CREATE TABLE parent (code TEXT PRIMARY KEY, -- it's a code \\ name
    day DATE, at DATETIME, mixed INTEGER, size, raw BLOB);
CREATE TABLE loop (id INTEGER PRIMARY KEY, other INTEGER REFERENCES loop (id));
CREATE TABLE repeated (a TEXT, b INTEGER, PRIMARY KEY (a));
CREATE TABLE orphan (id INTEGER PRIMARY KEY, parent TEXT REFERENCES parent (code));
CREATE TABLE empty (i INTEGER, t VARCHAR(9), r REAL);
CREATE UNIQUE INDEX by_w ON Child (w);
CREATE INDEX by_expression ON Child (lower(w));
INSERT INTO parent VALUES ('a', '2020-01-02', '2020-01-02 03:04:05', 1, 1, x'00ff'),
    ('b', NULL, NULL, 'many', 2.5, NULL);
INSERT INTO Child VALUES (1, 'a', 'x'), (2, 'b', 'y' || char(0)), (3, NULL, 'ü''"');
INSERT INTO loop VALUES (1, 2), (2, 1);
INSERT INTO repeated VALUES (NULL, 1), (NULL, 2);
INSERT INTO orphan VALUES (1, 'nobody');
"""


@pytest.fixture
def odd(tmp_path):
    path = tmp_path / "odd.sqlite"
    create_database(path, ODD)
    return path


def rows(database, *queries):
    with Executor(workers=1) as executor:
        return [
            execution.rows if execution.ok else execution.error
            for execution in executor.run([Statement(database, q) for q in queries], preview=9)
        ]


def test_types_follow_the_values(odd):
    assert column_kinds(odd)["parent"] == {
        "code": "text",
        "day": "date",
        "at": "timestamp",
        "mixed": "text",
        "size": "real",
        "raw": "blob",
    }
    assert column_kinds(odd)["empty"] == {"i": "integer", "t": "text", "r": "real"}


@pytest.mark.parametrize("day", ["0000-00-00", "0000-01-01", "2021-02-29", "20210102", "", "now"])
def test_a_column_with_an_impossible_date_stays_text(tmp_path, day):
    source, target = tmp_path / "days.sqlite", tmp_path / "days.duckdb"
    create_database(
        source, f"CREATE TABLE t (d DATE); INSERT INTO t VALUES ('2020-01-02'), ('{day}')"
    )
    copy_database(source, target)
    assert rows(target, "SELECT d FROM t") == [(("2020-01-02",), (day,))]


def test_a_copy_in_duckdb_has_the_rows_the_keys_and_the_indexes(odd, tmp_path):
    target = tmp_path / "copy" / "odd.duckdb"
    report = copy_database(odd, target)
    assert (len(report.tables), report.rows) == (6, 10)
    assert sorted(report.left_out) == [
        "foreign key of orphan (parent): broken",
        "foreign keys of loop in a circle",
        "primary key of repeated: NULL or repeated",
    ]
    queries = ("SELECT * FROM parent ORDER BY code", "SELECT * FROM child ORDER BY id")
    assert rows(target, *queries) == [
        (
            ("a", "2020-01-02", "2020-01-02 03:04:05", "1", 1.0, b"\x00\xff"),
            ("b", None, None, "many", 2.5, None),
        ),
        ((1, "a", "x"), (2, "b", "y"), (3, None, "ü'\"")),
    ]
    schema = {table.name: table for table in read_schema(target).tables}
    assert schema["Child"].primary_key == ("id",)
    assert schema["Child"].foreign_keys[0].parent == "parent"
    assert schema["parent"].columns[0].description == "it's a code \\ name"


def test_nothing_is_overwritten_and_nothing_half_written_stays(odd, tmp_path, monkeypatch):
    target = tmp_path / "odd.duckdb"
    target.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        copy_database(odd, target)
    assert target.read_text() == "mine"
    monkeypatch.setattr("slmsql.execution.engines.copying._add_indexes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        copy_database(odd, tmp_path / "new.duckdb")
    assert not list(tmp_path.glob("new*"))


@pytest.mark.slow
@pytest.mark.skipif(postgres_programs() is None, reason=NO_POSTGRES)
def test_the_program_copies_a_folder_to_a_server(odd, tmp_path):
    pytest.importorskip("psycopg", reason="needs psycopg; pip install -e .[postgres]")
    folder = tmp_path / "odd"
    folder.mkdir()
    odd.rename(folder / "odd.sqlite")
    with running_postgres() as server:
        server_url = server.url("", "owner").rstrip("/")
        command = [sys.executable, "scripts/copy_database.py", "--source", str(tmp_path)]
        command += ["--target", server_url]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert "odd: 6 tables, 10 rows" in done.stdout, done.stderr
        again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert "exists already" in again.stdout, again.stderr
        target = Path(server.url("odd", "owner"))
        assert rows(target, 'SELECT "parent code", w FROM child WHERE id = 2') == [(("b", "y"),)]
        tables = {table.name: table for table in read_schema(target).tables}
        assert tables["parent"].columns[0].description == "it's a code \\ name"
        assert tables["loop"].foreign_keys[0].parent == "loop"
        indexes = "SELECT indexdef FROM pg_indexes WHERE indexname = 'child_index_1'"
        assert "UNIQUE" in server.execute(indexes, "odd")[0][0]
