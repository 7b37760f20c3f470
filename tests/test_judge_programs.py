"""The programs around the judge: the gold audit, conformance, and the benchmark of its speed."""

import json
from pathlib import Path

import pytest

from slmsql.execution import Statement, create_database, create_reversed_copy
from tests.in_process import run_here

ROOT = Path(__file__).parent.parent
SCRIPT = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);
INSERT INTO singer VALUES (1, 'Ann', 30), (2, 'Bob', 25), (3, 'Cid', 30);
CREATE VIEW grown AS SELECT * FROM singer WHERE age > 26;
"""
GOLD = {
    # question, gold, findings
    "count": ("How many?", "SELECT count(*) FROM singer", []),
    "view": ("Who is grown?", "SELECT name FROM grown", []),
    "mean": ("How old on average?", "SELECT avg(age * 0.1) FROM singer", []),
    "fails": ("What?", "SELECT title FROM singer", ["fails"]),
    "writes": ("Delete!", "DELETE FROM singer", ["refused"]),
    "endless": (
        "For ever?",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c",
        ["times out"],
    ),
    "wide": ("All?", "SELECT hex(zeroblob(9000000)) FROM singer", ["too large"]),
    "empty": ("Nobody?", "SELECT name FROM singer WHERE age > 99", ["empty"]),
    "random": ("Anybody?", "SELECT name FROM singer ORDER BY random()", ["not deterministic"]),
    "today": ("When?", "SELECT date('now')", ["not deterministic"]),
    "tie": (
        "Who is oldest?",
        "SELECT name FROM singer ORDER BY age DESC LIMIT 1",
        ["depends on ties"],
    ),
    "bare": (
        "A name by age?",
        "SELECT name, age FROM singer GROUP BY age",
        ["depends on ties"],
    ),
    "limit": ("One name?", "SELECT name FROM singer LIMIT 1", ["depends on ties"]),
    "order": ("By age?", "SELECT name FROM singer ORDER BY age", ["order depends on ties"]),
    "again": ("how  MANY?", "SELECT count(id) FROM singer", ["duplicate"]),
    "absent": ("Elsewhere?", "SELECT 1", ["no database"]),
    "unknown": ("Who knows?", None, ["no gold SQL"]),
}


def program(name, *arguments, status=0):
    done = run_here(f"scripts/{name}.py", *arguments)
    assert done.returncode == status, done.stderr
    return done


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def benchmark_folder(tmp_path):
    create_database(tmp_path / "databases" / "band" / "band.sqlite", SCRIPT)
    records = [
        {
            "id": name,
            "question": text,
            "db_id": "gone" if name == "absent" else "band",
            "gold_sql": gold,
        }
        for name, (text, gold, _) in GOLD.items()
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return tmp_path


@pytest.fixture
def inputs(benchmark_folder):
    return (
        "--questions",
        benchmark_folder / "questions.jsonl",
        "--databases",
        benchmark_folder / "databases",
    )


@pytest.fixture
def to_audit(inputs):
    return (*inputs, "--steps", 1_000_000)


def test_the_audit_finds_what_is_wrong_with_each_gold_query(to_audit, tmp_path):
    outputs = {name: tmp_path / f"{name}.jsonl" for name in ("audit", "clean")}
    done = program(
        "audit_gold",
        *to_audit,
        "--output",
        outputs["audit"],
        "--write-clean",
        outputs["clean"],
        "--json",
        tmp_path / "summary.json",
    )
    findings_by_id = {record["id"]: record["findings"] for record in lines(outputs["audit"])}
    assert findings_by_id == {name: findings for name, (_, _, findings) in GOLD.items()}
    clean = [record["id"] for record in lines(outputs["clean"])]
    assert clean == ["count", "view", "mean", "order"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["clean"] == 4
    assert summary["findings"]["depends on ties"] == 3
    assert summary["not_correct_by_itself"] == []
    assert "12 of 12 verdicts of gold against gold are right" in done.stdout


def test_ties_in_the_order_matter_to_modes_that_compare_order(to_audit, tmp_path):
    clean = tmp_path / "clean.jsonl"
    program("audit_gold", *to_audit, "--write-clean", clean, "--match", "strict")
    assert [record["id"] for record in lines(clean)] == ["count", "view", "mean"]


def test_clean_questions_can_be_read_again(to_audit, tmp_path):
    clean = tmp_path / "clean.jsonl"
    program("audit_gold", *to_audit, "--write-clean", clean)
    done = program("audit_gold", "--questions", clean)
    assert "4  clean" in done.stdout


def test_a_reversed_copy_has_the_same_rows_and_other_first_ones(singers, tmp_path):
    from slmsql.execution import Executor

    copy = tmp_path / "copy.sqlite"
    create_reversed_copy(singers, copy)
    with Executor(workers=1) as executor:
        original, reversed_ = (
            [
                executor.run([Statement(path, sql)], preview=9)[0]
                for sql in ("SELECT * FROM singer", "SELECT * FROM song")
            ]
            for path in (singers, copy)
        )
    assert [execution.digest for execution in original] == [
        execution.digest for execution in reversed_
    ]
    assert original[0].rows == reversed_[0].rows[::-1]


EVALUATION_EX = """
import sqlite3
from evaluation_utils import connect_db

exec_result = None

def run_sqls_parallel(sqls, db_places, num_cpus=1, meta_time_out=30.0, sql_dialect="SQLite"):
    for number, ((predicted, gold), path) in enumerate(zip(sqls, db_places)):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            results = [connection.execute(sql).fetchall() for sql in (predicted, gold)]
            right = set(results[0]) == set(results[1])
        except sqlite3.Error:
            right = False
        connection.close()
        exec_result.append({"sql_idx": number, "res": int(right)})
"""

EVALUATION_VES = """
def execute_sql(sql, db_path, sql_dialect, return_time=False):
    raise NotImplementedError

def iterated_execute_sql(predicted_sql, ground_truth, db_path, iterate_num, sql_dialect):
    assert execute_sql(predicted_sql, db_path, sql_dialect) == []
    ratios = []
    for _ in range(iterate_num):
        predicted, gold = (execute_sql("", "", "", return_time=True) for _ in range(2))
        ratios.append(gold / predicted)
    return 1 if len(ratios) > 1 else 1 / 0
"""


@pytest.fixture
def bird_checkout(tmp_path):
    """A stand-in with the interfaces of BIRD's scripts, also their imports."""
    folder = tmp_path / "checkout" / "evaluation"
    folder.mkdir(parents=True)
    (folder / "evaluation_ex.py").write_text(EVALUATION_EX)
    (folder / "evaluation_f1.py").write_text(EVALUATION_EX)
    (folder / "evaluation_ves.py").write_text(EVALUATION_VES)
    (folder / "evaluation_utils.py").write_text("import psycopg2, pymysql\nconnect_db = None\n")
    return folder.parent


def predictions(folder, **sql):
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps({"id": i, "sql": s}) + "\n" for i, s in sql.items()))
    return path


def test_conformance_lists_each_disagreement_with_its_reason(inputs, bird_checkout, tmp_path):
    file = predictions(
        tmp_path,
        count="SELECT 3",
        empty="DELETE FROM singer WHERE id = 9",
        view="SELECT name FROM singer",
        fails="SELECT 1",
    )
    before = (tmp_path / "databases" / "band" / "band.sqlite").read_bytes()
    report = tmp_path / "report.json"
    done = program(
        "bench/conformance",
        *inputs,
        "--predictions",
        file,
        "--bird",
        bird_checkout,
        "--json",
        report,
    )
    assert "bird: 1 of 4 pairs differ" in done.stdout
    (only,) = json.loads(report.read_text())["disagreements"]
    assert only["reason"] == "not read-only (write); the official evaluator carries it out"
    assert (only["official"], only["ours"]) == (True, False)
    assert (tmp_path / "databases" / "band" / "band.sqlite").read_bytes() == before


def test_a_disagreement_without_a_reason_is_a_fault(inputs, bird_checkout, tmp_path):
    evaluation = bird_checkout / "evaluation" / "evaluation_ex.py"
    evaluation.write_text(EVALUATION_EX.replace("int(right)", "int(not right)"))
    file = predictions(tmp_path, count="SELECT 3")
    done = program(
        "bench/conformance", *inputs, "--predictions", file, "--bird", bird_checkout, status=1
    )
    assert "unknown: official False, ours True" in done.stdout


@pytest.mark.slow
def test_conformance_of_metrics_tells_known_differences_from_faults(
    inputs, bird_checkout, tmp_path
):
    file = predictions(tmp_path, count="SELECT 3", empty=";", view="SELECT 'other'")
    report = tmp_path / "report.json"
    command = ["bench/conformance_metrics", *inputs, "--predictions", file, "--bird", bird_checkout]
    done = program(*command, "--series", "40", "--json", report, status=1)
    assert "soft-f1: 1 of 3 differ" in done.stdout
    assert "not a query: the script scores its empty result" in done.stdout
    assert "more series are undefined officially" in done.stdout
    differences = json.loads(report.read_text())["differences"]
    assert {d["reason"] for d in differences if d["metric"] == "r-ves"} == {"unknown"}
    assert program(*command, "--series", "0").returncode == 0


@pytest.mark.slow
def test_the_benchmark_writes_its_figures(inputs, bird_checkout, tmp_path):
    file = predictions(tmp_path, count="SELECT 3", view="SELECT name FROM singer")
    figures = tmp_path / "figures.json"
    program("bench/judge", *inputs, "--predictions", file, "--bird", bird_checkout,
            "--json", figures)  # fmt: skip
    written = json.loads(figures.read_text())
    for name in ("ours_bird_per_s", "bare_loop_per_s", "bird_evaluator_per_s", "reward_call_s"):
        assert written[name] > 0


@pytest.mark.parametrize("name", ["bench/conformance", "bench/conformance_metrics", "bench/judge"])
def test_help_shows_a_command(name):
    assert f"python scripts/{name}.py --questions" in program(name, "--help").stdout


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("audit_gold", ["--questions", "nowhere.json"], "nowhere.json"),
        (
            "bench/conformance",
            ["--questions", "a", "--predictions", "b"],
            "nothing to compare with",
        ),
        (
            "bench/conformance",
            ["--questions", "nowhere.json", "--predictions", "b", "--bird", "c"],
            "nowhere.json",
        ),
        ("bench/judge", ["--questions", "nowhere.json", "--predictions", "b"], "nowhere.json"),
        (
            "bench/conformance_metrics",
            ["--questions", "a", "--predictions", "b", "--test-suite", "c"],
            "exact-set match needs --tables",
        ),
    ],
)
def test_a_wrong_path_is_one_line(name, arguments, message):
    done = program(name, *arguments, status=2)
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_no_checkout_is_one_line(inputs, tmp_path):
    file = predictions(tmp_path, count="SELECT 3")
    words = (*inputs, "--predictions", file, "--bird", tmp_path / "databases")
    done = program("bench/conformance", *words, status=2)
    assert "no evaluation_ex.py" in done.stderr
