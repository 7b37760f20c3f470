"""The suites: deterministic, sound, and free of what is trained on."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from slmsql.errors import InputError
from slmsql.execution import Executor
from slmsql.files import read_jsonl, write_jsonl
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions
from slmsql.schema.reading import read_schema
from slmsql.suites import LABORATORY, SHOP, Form, Suite, check, make
from tests.in_process import run_here
from tests.real_servers import NO_POSTGRES, postgres_programs, running_postgres

PROGRAM = "scripts/make_suite.py"


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def made(executor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suites")
    for suite in (SHOP, LABORATORY):
        make(suite, folder / suite.name, 42, executor)
    return folder


@pytest.mark.slow
def test_the_shop_has_500_questions_over_at_least_30_shapes(made):
    records = list(read_jsonl(made / "shop" / "questions.jsonl"))
    assert len(records) == 500
    assert len({record["form"] for record in records}) >= 30
    assert {record["difficulty"] for record in records} == {"simple", "moderate", "complex"}


@pytest.mark.slow
def test_the_laboratory_has_579_for_training_and_200_for_evaluation(made):
    for file, size in (("train", 579), ("evaluation", 200)):
        records = list(read_jsonl(made / "laboratory" / f"{file}.jsonl"))
        assert len(records) == size
        tiers = Counter(record["difficulty"] for record in records)
        assert min(tiers[tier] for tier in ("simple", "moderate", "complex")) >= size / 5


@pytest.mark.slow
def test_the_laboratory_keeps_its_gold_in_postgresql_too(made):
    records = list(read_jsonl(made / "laboratory" / "train.jsonl"))
    assert any("EXTRACT(YEAR" in record["postgres_sql"] for record in records)
    assert not any("EXTRACT(" in record["gold_sql"] for record in records)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "file", "training"),
    [("shop", "questions", ""), ("laboratory", "evaluation", "train"), ("laboratory", "train", "")],
)
def test_nothing_is_empty_doubled_tied_or_leaked(made, executor, suite, file, training):
    folder = made / suite
    questions = read_questions(folder / f"{file}.jsonl", folder / "databases")
    trained = read_questions(folder / f"{training}.jsonl", folder / "databases") if training else []
    assert check(questions, executor, trained) == {}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(made, executor, tmp_path):
    make(SHOP, tmp_path / "again", 42, executor)
    make(SHOP, tmp_path / "other", 43, executor)
    first = (made / "shop" / "questions.jsonl").read_bytes()
    assert (tmp_path / "again" / "questions.jsonl").read_bytes() == first
    assert (tmp_path / "other" / "questions.jsonl").read_bytes() != first
    database = Path("databases", "shop", "shop.sqlite")
    hashes = {
        hashlib.sha256((folder / database).read_bytes()).hexdigest()
        for folder in (made / "shop", tmp_path / "again")
    }
    assert len(hashes) == 1


def test_a_check_names_every_fault(singers, executor):
    def ask(number, text, sql):
        return Question(str(number), text, "singers", singers, gold_sql=sql)

    training = [ask(9, "Who is old?", "SELECT name FROM singer WHERE age > 26")]
    questions = [
        ask(0, "Fails?", "SELECT nobody FROM singer"),
        ask(1, "Empty?", "SELECT name FROM singer WHERE age > 99"),
        ask(2, "Who is  OLD?", "select name from singer where AGE > 26"),
        ask(3, "Twice?", "SELECT age FROM singer"),
        ask(4, "twice?", "SELECT id FROM singer"),
        ask(5, "Tied?", "SELECT name FROM singer ORDER BY age DESC LIMIT 1"),
        ask(6, "Now?", "SELECT random()"),
    ]
    assert check(questions, executor, training) == {
        "fails": ["0"],
        "empty": ["1"],
        "text is in training": ["2"],
        "SQL is in training": ["2"],
        "asked twice": ["3", "4"],
        "depends on ties": ["5"],
        "not deterministic": ["6"],
    }


def test_a_form_whose_sql_fails_is_a_fault_of_the_suite(executor, tmp_path):
    form = Form("bad", "simple", ["?"], "SELECT nobody")
    suite = Suite("bad", lambda seed: "CREATE TABLE t (a)", [form], {"questions": 1})
    with pytest.raises(InputError, match="form bad: no such column"):
        make(suite, tmp_path, 1, executor)


def test_too_few_sound_questions_are_refused(executor, tmp_path):
    suite = Suite("few", lambda seed: "CREATE TABLE t (a)", [], {"questions": 1})
    with pytest.raises(InputError, match="0 sound questions, 1 are needed"):
        make(suite, tmp_path, 1, executor)


@pytest.mark.slow
def test_the_program_makes_and_checks(tmp_path):
    made = run_here(PROGRAM, "--suite", "shop", "--output", tmp_path)
    assert "500 questions" in made.stdout, made.stderr
    file, databases = tmp_path / "questions.jsonl", tmp_path / "databases"
    assert "no faults" in run_here(PROGRAM, "--check", file, "--databases", databases).stdout
    record = json.loads(file.read_text().splitlines()[0]) | {"id": "again"}
    file.write_text(file.read_text() + json.dumps(record) + "\n")
    spoilt = run_here(PROGRAM, "--check", file, "--databases", databases)
    assert (spoilt.returncode, "asked twice: 2" in spoilt.stdout) == (1, True)
    assert "--check FILE" in run_here(PROGRAM, "--seed", "1").stderr


@pytest.mark.slow
@pytest.mark.skipif(postgres_programs() is None, reason=NO_POSTGRES)
def test_the_laboratory_on_postgresql_has_the_results_of_sqlite(tmp_path):
    pytest.importorskip("psycopg", reason="needs psycopg; pip install -e .[postgres]")
    with running_postgres() as server:
        words = ("--suite", "laboratory", "--output", tmp_path, "--engine", "postgres")
        owner = server.url("", "owner").rstrip("/")
        made = run_here(PROGRAM, *words, "--server", owner)
        assert "779 of 779 gold queries have SQLite's result on PostgreSQL" in made.stdout, made
        questions = tmp_path / "evaluation.jsonl"
        golds = [{"id": q["id"], "sql": q["postgres_sql"]} for q in read_jsonl(questions)]
        write_jsonl(tmp_path / "golds.jsonl", golds)
        scored = run_here(
            *("scripts/evaluate.py", "--questions", questions, "--databases", owner),
            *("--predictions", tmp_path / "golds.jsonl", "--beside", tmp_path / "databases"),
        )
        printed = " ".join(scored.stdout.split())
        assert "EX (bird) 100.0" in printed, scored.stderr
        assert "EX on SQLite 100.0" in printed
        assert "alone" not in printed
        comment = "what the law allows at most, in the unit; NULL where there is no limit"
        assert comment in read_schema(Path(f"{owner}/laboratory")).text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--suite", "shop", "--engine", "postgres"), "shop has no queries for PostgreSQL"),
        (
            ("--suite", "laboratory", "--engine", "postgres", "--server", "mysql://u:secret@h"),
            "must not hold a password",
        ),
    ],
)
def test_a_wrong_server_is_refused_before_anything_is_written(tmp_path, words, message):
    done = run_here(PROGRAM, *words, "--output", tmp_path / "suite")
    assert done.returncode == 2
    assert message in done.stderr
    assert "secret" not in done.stderr
    assert not (tmp_path / "suite").exists()
