"""`from slmsql import ...`: the examples of the docs and docstrings run, and the import is fast."""

import ast
import doctest
import importlib
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import slmsql
from slmsql import InputError, Match, Question, judge, make_chinook, score, vote
from slmsql.suites.chinook import script
from tests.stand_in import Server, choice

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "python.md"
WITH_EXAMPLES = [
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for path in sorted((ROOT / "slmsql").rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    """Each call starts its processes anew; one of them is enough here."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "64")  # as if 64 ranks shared the processors


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "chinook.sqlite"
    make_chinook(path)
    return path


@pytest.fixture
def beside_the_sample(sample, tmp_path, monkeypatch):
    shutil.copy(sample, tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
@pytest.mark.usefixtures("beside_the_sample")
def test_the_examples_of_a_module_run(name):
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.attempted
    assert not tried.failed


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried.attempted > 15
    assert not tried.failed


def test_five_lines_ask_through_an_endpoint(sample, tmp_path, monkeypatch, capsys):
    shutil.copy(sample, tmp_path)
    monkeypatch.chdir(tmp_path)
    server = Server(always=count_genres, models=["m"])
    run_example("load_model", ("http://localhost:11434", server.url))
    server.shutdown()
    assert capsys.readouterr().out.startswith("SELECT count(*) FROM Genre ")


def count_genres(body):
    return {"choices": [choice("SELECT count(*) FROM Genre")] * body["n"]}


@pytest.mark.slow
def test_five_lines_score_a_published_file(benchmarks, tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spider").symlink_to(benchmarks / "spider")
    lines = (benchmarks / "predictions" / "spider_dev__codes-1b.jsonl").read_text()
    (tmp_path / "predictions.jsonl").write_text(lines)
    monkeypatch.chdir(tmp_path)
    run_example("read_benchmark")
    value, *_ = capsys.readouterr().out.split()
    assert float(value) == pytest.approx(100 * 743 / 972)


def run_example(word, *changes):
    """Run the block of the page that has no prompts and this word."""
    blocks = re.findall(r"(?:^    (?!>>>|\.\.\.).*\n|^\n)+", PAGE.read_text(), re.MULTILINE)
    [block] = [block for block in blocks if "import" in block and f" {word}" in block]
    code = re.sub(r"^    ", "", block, flags=re.MULTILINE)
    for old, new in changes:
        code = code.replace(old, new)
    exec(compile(code, str(PAGE), "exec"), {})


def test_each_name_is_found_listed_and_known_to_type_checkers():
    for name, home in slmsql.HOMES.items():
        assert getattr(slmsql, name) is getattr(importlib.import_module(home), name)
        assert name in dir(slmsql)
    tree = ast.parse(Path(slmsql.__file__).read_text())
    typed = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert typed == slmsql.HOMES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = slmsql.nonsense
    with pytest.raises(ImportError):
        exec("from slmsql import nonsense")


def test_the_import_and_the_help_load_no_room_of_the_library():
    code = "import sys, slmsql.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    ours = {name for name in loaded.stdout.split() if name.startswith("slmsql")}
    assert ours == {"slmsql", "slmsql.__main__", "slmsql.commands"}
    assert not {"sqlglot", "yaml", "httpx", "argparse"} & set(loaded.stdout.split())


def test_the_sample_is_the_same_every_time_and_its_keys_hold(sample):
    assert script() == script()
    verdicts = judge(sample, [("SELECT count(*) FROM Track", "SELECT 412")])
    assert verdicts[0].correct
    unpaid = (
        "SELECT count(*) FROM Invoice AS i WHERE abs(Total - (SELECT sum(UnitPrice * Quantity)"
        " FROM InvoiceLine AS l WHERE l.InvoiceId = i.InvoiceId)) > 0.001"
    )
    assert judge(sample, [(unpaid, "SELECT 0")])[0].correct
    with closing(sqlite3.connect(sample)) as connection:
        assert not connection.execute("PRAGMA foreign_key_check").fetchall()


def test_the_vote_takes_any_match_mode_and_needs_a_candidate(sample):
    columns = ["SELECT GenreId, Name FROM Genre", "SELECT Name, GenreId FROM Genre"]
    assert vote(sample, columns, match="bird").votes == 1
    with pytest.raises(InputError, match="no candidate"):
        vote(sample, [])
    with pytest.raises(ValueError, match="'loose' is not a valid Match"):
        vote(sample, columns, match="loose")


def test_candidates_that_never_run_leave_the_first(sample):
    prediction = vote(sample, ["SELECT x", "DROP TABLE Genre"])
    assert (prediction.sql, prediction.votes) == ("SELECT x", 0)
    assert judge(sample, [("SELECT count(*) FROM Genre", "SELECT 8")])[0].correct


def test_a_missing_database_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        judge(tmp_path / "no.sqlite", [("SELECT 1", "SELECT 1")])
    with pytest.raises(FileNotFoundError):
        vote(tmp_path / "no.sqlite", ["SELECT 1"])


def test_a_score_needs_a_prediction_for_each_question(sample):
    questions = [Question(name, "?", "c", sample, gold_sql="SELECT 1") for name in ("a", "b")]
    with pytest.raises(InputError, match="predictions: no prediction for b"):
        score(questions, {"a": "SELECT 1"})
    both = score(questions, {"a": "SELECT 1", "b": "SELECT 2"}, match=Match.STRICT)
    assert both.accuracy.value == 50
