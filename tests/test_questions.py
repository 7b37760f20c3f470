"""Readers of questions: benchmarks as published, variants of Spider, and users' own files."""

import json
from pathlib import Path

import pytest

from slmsql.errors import InputError
from slmsql.files import write_jsonl
from slmsql.questions.question import with_databases
from slmsql.questions.reading import read_benchmark, read_questions
from slmsql.questions.source import read_source


@pytest.mark.parametrize(
    ("benchmark", "split", "count", "runnable", "first"),
    [
        ("spider", "dev", 1034, 972, "spider_dev_0"),
        ("spider", "train", 7000, 6804, "spider_train_0"),
        ("bird", "dev", 1534, 129, "bird_dev_0"),
        ("bird", "train", 732, 732, "bird_train_0"),
    ],
)
def test_benchmarks_are_read_as_published(benchmarks, benchmark, split, count, runnable, first):
    questions = read_benchmark(benchmark, benchmarks / benchmark, split)
    runnable_questions, _ = with_databases(questions)
    assert (len(questions), len(runnable_questions), questions[0].id) == (count, runnable, first)
    assert all(question.gold_sql for question in questions)


@pytest.mark.parametrize(
    ("variant", "count"), [("spider-syn", 1034), ("spider-realistic", 508), ("spider-dk", 535)]
)
def test_variants_of_spider_are_read_with_their_own_questions(benchmarks, variant, count):
    databases = benchmarks / "spider" / "database"
    questions = read_questions(benchmarks / variant / "dev.json", databases)
    assert len(questions) == count
    plain = {q.text for q in read_questions(benchmarks / "spider" / "dev.json", databases)}
    assert sum(question.text in plain for question in questions) < count


def test_spider_syn_asks_with_its_synonyms(tmp_path):
    file = tmp_path / "dev.json"
    record = {"db_id": "d", "query": "SELECT 1", "SpiderQuestion": "a", "SpiderSynQuestion": "b"}
    file.write_text(json.dumps([record]))
    assert read_questions(file, tmp_path)[0].text == "b"


def test_bird_keeps_its_evidence_difficulty_and_number(tmp_path):
    file = tmp_path / "mini_dev.json"
    record = {
        "question_id": 77,
        "db_id": "d",
        "question": "q",
        "evidence": "e",
        "SQL": "SELECT 1",
        "difficulty": "simple",
    }
    file.write_text(json.dumps([record]))
    [question] = read_questions(file, tmp_path)
    assert question.id == "bird_dev_77"
    assert (question.evidence, question.difficulty, question.source) == ("e", "simple", "bird")


def test_own_questions_come_back_as_they_were_written(tmp_path):
    file = tmp_path / "own.jsonl"
    record = {"id": 1, "question": "q", "database": str(tmp_path / "d.sqlite"), "gold_sql": None}
    write_jsonl(file, [record])
    [question] = read_questions(file)
    assert (question.id, question.db_id, question.gold_sql) == ("1", "d", None)
    write_jsonl(file, [question.as_record()])
    assert read_questions(file) == [question]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no questions in it"),
        ("{}", "expected a list"),
        ("[3]", "record 0: expected an object"),
        ('[{"question": "q"}]', "record 0: no 'db_id' and no 'database'"),
        ('[{"question": " ", "db_id": "d"}]', "record 0: no 'question'"),
        ('[{"question": "q", "db_id": "d"', "is the file complete"),
        ("", "not JSON"),
        ('[{"id": 1, "question": "q", "db_id": "d"}, {"id": "1", "question": "r", "db_id": "d"}]',
         "'1' occurs twice"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_named_with_the_position(tmp_path, content, message):
    file = tmp_path / "questions.json"
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        read_questions(file, tmp_path)


def test_a_source_is_a_file_or_a_benchmark_and_not_both(tmp_path):
    with pytest.raises(InputError, match="either --questions"):
        read_source()
    with pytest.raises(InputError, match="either --questions"):
        read_source("x.json", benchmark="spider")
    with pytest.raises(InputError, match="needs --root"):
        read_source(benchmark="spider")
    with pytest.raises(InputError, match="unknown benchmark 'spyder'"):
        read_source(benchmark="spyder", root=str(tmp_path), split="dev")
    with pytest.raises(FileNotFoundError, match=r"dev\.json is missing"):
        read_source(benchmark="spider", root=str(tmp_path), split="dev")


def test_parquet_of_other_columns_is_refused(tmp_path):
    from pyarrow import Table
    from pyarrow.parquet import write_table

    file = tmp_path / "x.parquet"
    write_table(Table.from_pylist([{"a": 1}]), file)
    with pytest.raises(InputError, match="expected the columns of gretel"):
        read_source(str(file), str(tmp_path))
    file.write_bytes(b"no parquet")
    with pytest.raises(InputError, match="not a parquet file"):
        read_source(str(file), str(tmp_path))


def test_a_gold_query_for_the_databases_engine_is_taken(tmp_path):
    record = {"question": "q", "db_id": "shop", "gold_sql": "SQLite", "postgres_sql": "PostgreSQL"}
    (tmp_path / "questions.jsonl").write_text(json.dumps(record))
    for databases, gold in (
        (tmp_path, "SQLite"),
        (Path("postgresql://ann@host"), "PostgreSQL"),
        (Path("mysql://ann@host"), "SQLite"),
    ):
        (question,) = read_questions(tmp_path / "questions.jsonl", databases)
        assert question.gold_sql == gold


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret@host/shop",
        "mysql://ann:secret@host/shop",
        "postgresql://ann@host/shop?password=secret",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_repeated(tmp_path, url):
    file = tmp_path / "questions.jsonl"
    for record, databases in (
        ({"question": "q", "database": url}, None),
        ({"question": "q", "db_id": "shop"}, Path(url)),
    ):
        file.write_text(json.dumps(record))
        with pytest.raises(InputError, match="must not hold a password") as raised:
            read_questions(file, databases)
        assert "secret" not in str(raised.value)
