"""One prediction file on two engines: which score has it on each, and which answers differ?"""

import json

import pytest

from slmsql.evaluation.agreement import disagreements
from slmsql.execution import Executor
from slmsql.execution.engines.copying import copy_database
from slmsql.files import write_jsonl
from slmsql.questions.question import Question
from tests.in_process import run_here

pytest.importorskip("duckdb", reason="needs DuckDB; pip install -e .[duckdb]")

GOLD = "SELECT name FROM singer WHERE age > 26"
ANSWERS = {
    "right": "SELECT name FROM singer WHERE age = '30'",
    "only_sqlite": "SELECT name FROM singer WHERE age > 26 AND unicode(name) < typeof(1)",
    "only_duckdb": "SELECT name FROM singer WHERE age > 26 AND list_sum([age]) > 0",
    "no_query": "I cannot say",
    "several": f"{GOLD}; {GOLD}",
}


@pytest.fixture
def run(singers, tmp_path):
    copy_database(singers, tmp_path / "copies" / "singers" / "singers.duckdb")

    def run(*, databases, beside, **changes):
        record = {"question": "Who?", "db_id": "singers", "gold_sql": GOLD, **changes}
        write_jsonl(tmp_path / "questions.jsonl", ({"id": name, **record} for name in ANSWERS))
        answers = ({"id": name, "sql": sql} for name, sql in ANSWERS.items())
        write_jsonl(tmp_path / "predictions.jsonl", answers)
        done = run_here(
            "scripts/evaluate.py",
            *("--questions", tmp_path / "questions.jsonl", "--databases", tmp_path / databases),
            *("--predictions", tmp_path / "predictions.jsonl", "--beside", tmp_path / beside),
            *("--json", tmp_path / "report.json"),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, json.loads((tmp_path / "report.json").read_text())

    return run


def test_each_engine_has_its_score_and_the_answers_that_differ_are_named(run):
    printed, report = run(databases=".", beside="copies")
    assert (report["execution_accuracy"], report["n"]) == (40.0, 5)
    beside = report["beside"]
    assert (beside["engine"], beside["execution_accuracy"], beside["n"]) == ("DuckDB", 20.0, 5)
    assert beside["wrong_here_alone"] == ["only_sqlite"]
    assert beside["not_translated"] == ["no_query", "several"]
    assert "EX on DuckDB             20.0" in printed
    assert "right on SQLite alone: 1 (only_sqlite)" in printed
    assert "not translated: 2 (no_query, several)" in printed


def test_the_other_engine_may_be_sqlite(run):
    _, report = run(databases="copies", beside=".")
    assert report["beside"]["engine"] == "SQLite"
    assert report["beside"]["wrong_here_alone"] == ["only_duckdb"]


def test_a_gold_query_of_its_own_is_taken_as_it_is(run):
    _, report = run(databases=".", beside="copies", duckdb_sql="SELECT nobody FROM singer")
    assert report["beside"]["left_out_because"] == {"gold query fails": 5}
    assert report["n"] == 5


def test_a_folder_without_the_databases_leaves_all_questions_out(run, tmp_path):
    (tmp_path / "empty").mkdir()
    printed, report = run(databases=".", beside="empty")
    assert report["beside"]["execution_accuracy"] is None
    assert "on SQLite: no question could be judged" in printed


def test_every_scorer_but_the_timings_works_without_sqlite(singers, tmp_path):
    copy_database(singers, tmp_path / "copies" / "singers" / "singers.duckdb")
    (tmp_path / "dev.json").write_text(
        json.dumps([{"question": "Who?", "db_id": "singers", "query": GOLD}])
    )
    sql = "SELECT singer.name FROM singer WHERE singer.age > 27"
    write_jsonl(tmp_path / "predictions.jsonl", [{"id": "spider_dev_0", "sql": sql}])
    done = run_here(
        *("scripts/evaluate.py", "--questions", tmp_path / "dev.json", "--every_scorer", "true"),
        *("--databases", tmp_path / "copies", "--predictions", tmp_path / "predictions.jsonl"),
    )
    assert "EX strict         100.0" in done.stdout, done.stderr
    assert "exact-set         100.0" in done.stdout
    assert "VES" not in done.stdout


def test_gold_results_that_differ_on_a_copy_are_found(singers, tmp_path):
    copy = tmp_path / "singers.duckdb"
    copy_database(singers, copy)
    golds = {
        "same": ("SELECT name FROM singer", "SELECT name FROM singer ORDER BY age"),
        "nearly": ("SELECT 0.3", "SELECT 0.1::double + 0.2"),
        "rows": ("SELECT 5 / 2", "SELECT 5 / 2"),
        "repeated": ("SELECT age FROM singer", "SELECT DISTINCT age FROM singer"),
        "fails": ("SELECT typeof(1)", "SELECT nobody"),
    }
    here = [Question(i, "?", "singers", singers, gold_sql=g) for i, (g, _) in golds.items()]
    there = [Question(i, "?", "singers", copy, gold_sql=g) for i, (_, g) in golds.items()]
    with Executor(workers=1) as executor:
        found = {question.id: e.error for question, e in disagreements(here, there, executor)}
    assert list(found) == ["rows", "repeated", "fails"]
    assert "nobody" in found["fails"]
