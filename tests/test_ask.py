"""The terminal program, and answers as text, CSV and JSON."""

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from slmsql.execution import Executor, Statement, create_database
from slmsql.server.cells import cell
from slmsql.server.table import table_text, text_width
from tests.in_process import run_here
from tests.running_server import ANSWERS, ROOT, answer
from tests.stand_in import Server, choice


@pytest.fixture(scope="module")
def model():
    server = Server(always=answer, models=["small"])
    yield server
    server.shutdown()
    server.server_close()


def ask(model, database, *words, typed=""):
    model_words = ("--endpoint", model.url, "--retries", "0", "--backoff", "0", "--workers", "1")
    return run_here("inference/ask.py", *model_words, "--database", database, *words, typed=typed)


def result_of(database, sql, rows=10):
    with Executor(workers=1) as executor:
        return executor.run([Statement(database, sql)], preview=rows)[0]


def test_one_question_is_answered_with_its_rows(model, singers):
    done = ask(model, singers, "--question", "an odd one", "--show_candidates", "true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(ANSWERS["odd"][0])
    assert "blob of 2 bytes" in done.stdout
    assert "1 row\n" in done.stdout
    assert "every candidate that ran has this result (4 of 4 agree" in done.stdout
    assert "  4 votes, 1 rows:" in done.stdout


def test_the_only_model_of_a_server_needs_no_name(model, singers):
    ask(model, singers, "--question", "an odd one")
    assert model.seen[-1][2]["model"] == "small"


@pytest.mark.parametrize(
    ("models", "complaint"),
    [
        (["a:1b", "b:3b"], "serves several models; choose with --model: a:1b, b:3b"),
        ([], "serves no model"),
        (None, "does not list its models (status 404); give --model NAME"),
        ((401, {"error": "no"}), "refuses the key (status 401); set OPENAI_API_KEY"),
        ((200, b"<html>"), "does not list its models (status 200)"),
        ((200, {"data": None}), "does not list its models (status 200)"),
        ((200, {"data": [3]}), "does not list its models (status 200)"),
        ((200, [{"id": "m"}]), "does not list its models (status 200)"),
    ],
)
def test_a_server_without_exactly_one_model_is_one_line(singers, models, complaint):
    server = Server(models=models)
    done = ask(server, singers, "--question", "x")
    server.shutdown()
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_server_that_is_away_is_one_line(singers):
    done = run_here(
        *("inference/ask.py", "--endpoint", "http://127.0.0.1:9", "--database", singers),
        *("--question", "x"),
    )
    assert done.returncode == 2
    assert "http://127.0.0.1:9: no server answers" in done.stderr


def test_without_a_model_the_three_ways_are_shown(singers):
    done = run_here("inference/ask.py", "--database", singers, "--question", "x")
    assert done.returncode == 2
    for way in ("--endpoint http", "--model FILE.gguf", "--model FOLDER"):
        assert way in done.stderr


def test_questions_are_answered_one_after_another(model, singers):
    done = ask(model, singers, typed="an odd one\n\na broken one\n")
    assert done.stdout.count("agree,") == 2
    assert "error: no such table: artist" in done.stdout


def test_no_control_character_of_a_model_reaches_the_terminal(singers):
    hostile = Server(always=lambda body: {"choices": [choice("SELECT '\x1b[2J' AS a,\n1\x07")]})
    done = ask(hostile, singers, "--question", "x", "--model", "m", "--show_candidates")
    hostile.shutdown()
    assert "SELECT ' [2J' AS a,\n1" in done.stdout
    assert not {"\x1b", "\x07"} & set(done.stdout)


def test_csv_is_the_result_alone(model, singers):
    done = ask(model, singers, "--csv", "--question", "an odd one")
    header, row = csv.reader(io.StringIO(done.stdout))
    assert len(header) == 5
    assert row[:3] == ["00ff", "", "9007199254740993"]
    assert ANSWERS["odd"][0] in done.stderr


def test_csv_of_a_query_that_fails_is_an_error(model, singers):
    done = ask(model, singers, "--csv", "--question", "a broken one")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such table: artist" in done.stderr


def test_json_is_one_line_for_each_question(model, singers):
    done = ask(model, singers, "--json", typed="an odd one\na broken one\n")
    odd, broken = map(json.loads, done.stdout.splitlines())
    assert odd["sql"] == ANSWERS["odd"][0]
    assert odd["rows"][0][0] == "blob of 2 bytes"
    assert broken["status"] == "error"


def test_csv_and_json_exclude_each_other(model, singers):
    done = ask(model, singers, "--json", "--csv")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_commands_show_tables_and_save_the_sql(model, singers, tmp_path):
    file = tmp_path / "kept.sql"
    lines = [r"\d", r"\d SINGER", "an odd one", rf"\save {file}", r"\?", r"\q", "not read"]
    done = ask(model, singers, typed="\n".join(lines))
    assert "singer (id, name, age)\nsong (id, title, singer_id)\n" in done.stdout
    assert "CREATE TABLE singer (" in done.stdout
    assert "CREATE TABLE song" not in done.stdout
    assert r"\save FILE" in done.stdout
    assert file.read_text() == ANSWERS["odd"][0] + ";\n"
    assert done.stdout.count("agree,") == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (r"\d nothing", "no table 'nothing'; there are singer, song"),
        (r"\x", r"no command \x; \? lists them"),
        (r"\save", r"\save FILE writes the last SQL"),
    ],
)
def test_a_wrong_command_is_one_line(model, singers, line, complaint):
    done = ask(model, singers, typed=line)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_saving_never_replaces_a_file(model, singers):
    before = singers.read_bytes()
    done = ask(model, singers, typed=f"an odd one\n\\save {singers}\n")
    assert "exists; name a new file" in done.stderr
    assert singers.read_bytes() == before


@pytest.mark.parametrize("program", ["ask", "serve"])
def test_help_shows_six_options_and_the_rest_on_demand(program):
    short = run_here(f"inference/{program}.py", "--help").stdout
    assert short.count("\n  --") == 6
    assert "--help_all shows" in short
    assert run_here(f"inference/{program}.py", "--help_all").stdout.count("\n  --") > 40


@pytest.mark.parametrize("name", ["nowhere.sqlite", "README.md"])
def test_a_wrong_file_is_one_line_before_any_model_is_loaded(model, name):
    done = ask(model, ROOT / name, "--question", "x")
    assert done.returncode == 2
    assert name in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unreachable_model_is_one_line(singers):
    away = Server(always="broken")
    done = ask(away, singers, "--question", "x", "--model", "m")
    assert done.returncode == 2
    assert "status 500" in done.stderr
    away.shutdown()


@pytest.mark.slow
def test_at_a_terminal_an_error_goes_on_and_the_arrow_key_brings_lines_back(
    model, singers, tmp_path
):
    main, terminal = pty.openpty()
    command = [sys.executable, "inference/ask.py", "--endpoint", model.url, "--database", singers]
    environment = {**os.environ, "SLMSQL_CACHE": str(tmp_path), "COLUMNS": "30", "TERM": "xterm"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    screen = Screen(main)
    for keys, expected in (
        (b"\\nonsense\n", b"no command"),
        (b"an odd one\n", b"agree,"),
        (b"\x1b[A\n", b"agree,"),  # arrow up
        (b"\x04", b""),  # Ctrl-D
    ):
        screen.wait_for(b"question> ")
        os.write(main, keys)
        screen.wait_for(expected)
    assert process.wait(timeout=20) == 0
    assert re.findall(r"\d of 5 columns shown", screen.shown.decode())  # 30 columns are narrow
    assert (tmp_path / "ask" / "history").read_text().splitlines() == ["\\nonsense", "an odd one"]


@pytest.mark.slow
def test_an_interrupt_ends_a_question_at_once_whatever_the_server_does(singers):
    asked = threading.Event()
    server = Server(always=lambda body: asked.set() or time.sleep(60), models=["small"])
    words = ("--endpoint", server.url, "--database", singers, "--question", "x")
    process = subprocess.Popen(
        [sys.executable, "inference/ask.py", *words],
        cwd=ROOT,
        # The shell ignores it for what runs in its background, such as these tests.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert asked.wait(20)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=40) == 130  # a busy machine; the server takes longer
    server.shutdown()


class Screen:
    """What a terminal shows."""

    def __init__(self, terminal):
        self.terminal = terminal
        self.shown = b""
        self.seen = 0

    def wait_for(self, text):
        """Read until this text appears behind all that was waited for before."""
        while (place := self.shown.find(text, self.seen)) < 0:
            ready, _, _ = select.select([self.terminal], [], [], 20)
            assert ready, self.shown
            self.shown += os.read(self.terminal, 4096)
        self.seen = place + len(text)


def test_a_table_has_no_control_characters(singers):
    sql = "SELECT id, char(27) || '[31m' || name AS name, NULL AS n FROM singer ORDER BY id"
    lines = table_text(result_of(singers, sql), rows=2).splitlines()
    assert lines[0].split() == ["id", "name", "n"]
    assert lines[2].split()[:2] == ["1", "[31mAnn"]
    assert "\x1b" not in "".join(lines)
    assert lines[-1] == "3 rows, the first 2 shown"


@pytest.mark.parametrize("width", [1, 7, 20, 40, 79, 200])
def test_a_table_fits_the_line(singers, width):
    sql = "SELECT 1 AS id, printf('%.60c', 'x') AS long, '東京都' AS wide, 'Zoë' AS e, 2 AS two"
    table = table_text(result_of(singers, sql), width=width)
    lines = table.splitlines()[:-1]
    assert max(map(text_width, lines)) <= width
    if width == 40:  # the short columns are whole
        assert "東京都  Zoë  2" in table
    if width == 20:
        assert table.endswith("1 row, 2 of 5 columns shown")


def test_a_table_in_a_pipe_is_not_cut(singers):
    table = table_text(result_of(singers, "SELECT printf('%.300c', 'x') AS x"))
    assert "x" * 300 in table


def test_a_result_without_columns_or_rows_has_a_table(singers, tmp_path):
    assert table_text(result_of(singers, "SELECT 1 AS a WHERE 0"), width=5) == "a\n-\n0 rows"
    empty = tmp_path / "empty.sqlite"
    create_database(empty, 'CREATE TABLE t ("" INTEGER); INSERT INTO t VALUES (1)')
    assert table_text(result_of(empty, "SELECT * FROM t"), width=80).splitlines()[2] == "1"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (3, 3),
        (1.5, 1.5),
        (2**53 + 1, str(2**53 + 1)),
        (float("inf"), "inf"),
        (b"\0\1", "blob of 2 bytes"),
        ("\ud800", "?"),
    ],
)
def test_values_become_json(value, shown):
    assert cell(value) == shown


def test_a_long_text_is_cut():
    assert len(cell("x" * 10_000)) == 1001
