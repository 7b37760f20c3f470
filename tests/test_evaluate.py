import csv
import json
import re
from pathlib import Path

import pytest

from slmsql.questions.reading import read_questions
from tests.in_process import run_here

ROOT = Path(__file__).parent.parent
GOLD = "SELECT name FROM singer"


def evaluate(*words):
    return run_here("scripts/evaluate.py", *words)


def lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def questions(singers, tmp_path):
    records = [
        {"id": f"q{i}", "question": "names?", "db_id": "singers", "gold_sql": GOLD}
        for i in range(2)
    ]
    return lines(tmp_path / "questions.jsonl", records)


@pytest.fixture
def run(questions, tmp_path):
    def run(records, *words):
        file = lines(tmp_path / "predictions.jsonl", records)
        return evaluate(
            "--questions", questions, "--databases", tmp_path, "--predictions", file, *words
        )

    return run


def test_it_writes_the_report_and_the_outcomes(run, tmp_path):
    answers = [{"id": "q0", "sql": GOLD}, {"id": "q1", "sql": "SELECT 1"}]
    figures = tmp_path / "figures.json"
    result = run(answers, "--output", tmp_path / "run", "--match", "strict", "--json", figures)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (report["execution_accuracy"], report["n"], report["match"]) == (50.0, 2, "strict")
    assert report["left_out"] == 0
    assert json.loads(figures.read_text()) == report
    outcomes = (tmp_path / "run" / "outcomes.jsonl").read_text().splitlines()
    assert [json.loads(line)["correct"]["bird"] for line in outcomes] == [True, False]


def test_it_writes_tables_and_files_for_the_benchmarks(run, tmp_path):
    folder = tmp_path / "run"
    answers = [{"id": "q0", "sql": GOLD}, {"id": "q1", "sql": "SELECT name, 'a\n,b'\nFROM singer"}]
    result = run(answers, "--output", folder)
    assert result.returncode == 0, result.stderr
    with open(folder / "questions.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["id"], first["ex_bird"], first["soft_f1"]) == ("q0", "1", "1.0")
    assert (second["ex_bird"], second["error_class"]) == ("0", "missing or extra column")
    assert second["sql"] == answers[1]["sql"]
    with open(folder / "scores.csv", newline="") as file:
        scores = {(row["metric"], row["by"], row["group"]): row for row in csv.DictReader(file)}
    report = json.loads((folder / "report.json").read_text())
    headline = scores["ex_bird", "", ""]
    assert [float(headline[key]) for key in ("low", "high")] == report["interval"]
    assert (headline["value"], headline["n"]) == ("50.0", "2")
    assert headline["databases_low"] == ""  # there is one database
    assert scores["ex_bird", "database", "singers"]["value"] == "50.0"
    for name in ("predict_bird.json", "predict_spider.sql"):
        words = ("--predictions", folder / name, "--json", tmp_path / "again.json")
        again = run(answers, *words)
        assert again.returncode == 0, again.stderr
        assert json.loads((tmp_path / "again.json").read_text())["execution_accuracy"] == 50.0


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([{"id": "q0", "sql": GOLD}], "no prediction for q1"),
        ([{"id": "q0", "sql": GOLD}, {"id": "q7", "sql": GOLD}], "q7 not among the questions"),
        ([{"id": "q0", "sql": GOLD}] * 2, "the id 'q0' occurs twice"),
        ([{"id": "q0"}], "no 'sql'"),
        ([], "no predictions"),
    ],
)
def test_ids_must_fit_and_one_line_says_so(run, tmp_path, answers, message):
    result = run(answers, "--output", tmp_path / "run")
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_part_of_the_questions_is_scored_and_the_report_says_so(run, tmp_path):
    answers = [{"id": "q0", "sql": GOLD}, {"id": "q1", "sql": "SELECT 1"}]
    for answered in (answers, answers[:1]):
        result = run(answered, "--limit", 1, "--output", tmp_path / "run")
        assert result.returncode == 0, result.stderr
        assert "only the first 1 of 2 questions were scored" in result.stdout
        report = json.loads((tmp_path / "run" / "report.json").read_text())
        assert (report["execution_accuracy"], report["n"]) == (100.0, 1)
        assert (report["questions"], report["questions_in_file"]) == (1, 2)


def test_no_database_at_all_is_an_error_of_one_line(questions, tmp_path):
    answers = lines(tmp_path / "p.jsonl", [{"id": "q0", "sql": GOLD}, {"id": "q1", "sql": GOLD}])
    (tmp_path / "empty").mkdir()
    result = evaluate(
        "--questions", questions, "--databases", tmp_path / "empty", "--predictions", answers
    )
    assert result.returncode == 2
    assert "none of the 2 questions has a database" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("model", "expected"), [("1b", 743), ("7b", 807)])
def test_codes_on_spider_dev(benchmarks, tmp_path, model, expected):
    result = evaluate(
        *("--benchmark", "spider", "--root", benchmarks / "spider", "--split", "dev"),
        *("--predictions", benchmarks / "predictions" / f"spider_dev__codes-{model}.jsonl"),
        *("--json", tmp_path / "report.json"),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["correct"], report["n"], report["left_out"]) == (expected, 972, 62)


def test_mini_dev_asks_two_questions_twice_and_is_read_all_the_same(benchmarks):
    file = benchmarks / "bird" / "minidev" / "mini_dev_sqlite.json"
    questions = read_questions(file, benchmarks / "bird" / "dev" / "dev_databases")
    assert len({question.id for question in questions}) == 500
    assert [q.id for q in questions if "#" in q.id] == ["bird_dev_137#2", "bird_dev_138#2"]


@pytest.mark.slow
def test_every_scorer_says_of_a_published_file_what_the_score_page_says(benchmarks):
    file = benchmarks / "predictions" / "spider_dev__codes-15b.jsonl"
    source = ("--benchmark", "spider", "--root", benchmarks / "spider", "--split", "dev")
    done = evaluate(*source, "--predictions", file, "--every_scorer", "--timings", "1")
    assert done.returncode == 0, done.stderr
    scores = dict(re.findall(r"^(.+?)  +(\d+\.\d)  \[", done.stdout, re.MULTILINE))
    names, published = score_page("codes-15b")
    assert {name: scores[name] for name in names} == dict(zip(names, published, strict=True))
    assert {"R-VES official", "R-VES by steps", "VES"} <= scores.keys()
    assert scores["EX bird, of all"] == "77.9"  # 805 of 1034
    assert "data: Spider dev, 1,034 questions (726beadc5158da98)" in done.stdout
    assert "972 of 1034 questions judged; 62 left out (no database)" in done.stdout


def score_page(system):
    """The names of the columns, and the scores of a system without their intervals."""
    page = (ROOT / "docs" / "scores_spider_dev.md").read_text()
    cells = [[cell.strip() for cell in line.split("|")[2:-1]] for line in page.splitlines()]
    lines = dict(zip(page.splitlines(), cells, strict=True))
    header = next(cells for line, cells in lines.items() if line.startswith("| predictions |"))
    scores = next(cells for line, cells in lines.items() if line.startswith(f"| {system} |"))
    return header, [score.split(" ")[0] for score in scores]


def test_every_scorer_counts_what_is_left_out_in_a_line_of_its_own(run):
    answers = [{"id": "q0", "sql": GOLD}, {"id": "q1", "sql": "SELECT 1"}]
    done = run(answers, "--every_scorer")
    assert re.search(r"^EX bird +50\.0 .* 2  the same set of rows", done.stdout, re.MULTILINE)
    assert "of all" not in done.stdout  # nothing is left out
    assert "unknown release" in done.stdout
