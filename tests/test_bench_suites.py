"""The measurements of suites: small databases for training, and the cost of the reward."""

import sqlite3

from scripts.bench.suite_training import write_small
from slmsql.execution import create_database
from slmsql.files import read_jsonl, write_json, write_jsonl
from slmsql.suites.neighbours.making import Task, make_suite
from slmsql.suites.neighbours.reading import read_profile
from tests.in_process import run_here

GOLD = "SELECT name FROM singer WHERE age > 30"


def singers(path, count=12):
    labels = ", ".join(f"({n}, 'Label {n}')" for n in range(1, 7))
    rows = ", ".join(f"({n}, 'Singer {n}', {20 + 3 * n}, {7 - n % 6 - 1})" for n in range(count))
    create_database(
        path,
        "CREATE TABLE label (id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INTEGER,"
        " label_id INTEGER REFERENCES label (id));"
        f"INSERT INTO label VALUES {labels}; INSERT INTO singer VALUES {rows};",
    )
    return path


def test_a_small_copy_has_few_rows_and_each_has_its_partner(tmp_path):
    small = tmp_path / "small" / "small.sqlite"
    write_small(read_profile(singers(tmp_path / "singers.sqlite")), small, 3)
    connection = sqlite3.connect(small)
    counts = [
        connection.execute(f"SELECT count(*) FROM {t}").fetchone() for t in ("label", "singer")
    ]
    assert counts == [(3,), (3,)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_both_rewards_are_timed_on_the_same_steps(tmp_path):
    database = singers(tmp_path / "singers" / "singers.sqlite")
    make_suite(Task(database, GOLD, tmp_path / "suites", seed=0))
    write_json(tmp_path / "suites" / "card.json", {})
    questions, predictions = tmp_path / "questions.jsonl", tmp_path / "predictions.jsonl"
    fields = {"text": "Who is over 30?", "db_id": "singers", "database": str(database)}
    write_jsonl(questions, [{"id": f"q{n}", "gold_sql": GOLD, **fields} for n in range(6)])
    lucky = "SELECT name FROM singer WHERE age > 30 AND age < 90"
    write_jsonl(predictions, [{"id": f"q{n}", "sql": lucky} for n in range(6)])
    ended = run_here(
        "scripts/bench/suite_reward.py",
        *("--questions", questions, "--suites", tmp_path / "suites", "--predictions", predictions),
        *("--group", 1, "--per_step", 2, "--workers", 1),
    )
    assert ended.returncode == 0, ended.stderr
    assert "completions: 4" in ended.stdout  # the first of three steps does not count
    assert "execution_suite" in ended.stdout


def test_power_and_coincidences_are_printed(tmp_path):
    database = singers(tmp_path / "singers" / "singers.sqlite")
    make_suite(Task(database, GOLD, tmp_path / "suites", seed=0))
    write_json(tmp_path / "suites" / "card.json", {})
    questions, candidates = tmp_path / "questions.jsonl", tmp_path / "candidates.jsonl"
    row = {"id": "q", "db_id": "singers", "database": str(database)}
    write_jsonl(questions, [{**row, "text": "Who is over 30?", "gold_sql": GOLD}])
    samples = [GOLD, "SELECT name FROM singer WHERE age >= 32", "SELECT id FROM singer", None]
    write_jsonl(candidates, [{**row, "candidates": [{"sql": sql} for sql in samples]}])
    given = ("--questions", questions, "--suites", tmp_path / "suites")
    power = run_here("scripts/bench/suite_power.py", *given, "--workers", 1)
    assert power.returncode == 0, power.stderr
    assert "'bird': {'value': 100.0" in power.stdout
    lucky = run_here(
        "scripts/bench/coincidences.py", *given, "--predictions", candidates,
        "--output", tmp_path / "refused.jsonl",
    )  # fmt: skip
    assert lucky.returncode == 0, lucky.stderr
    assert [record["sql"] for record in read_jsonl(tmp_path / "refused.jsonl")] == [samples[1]]
