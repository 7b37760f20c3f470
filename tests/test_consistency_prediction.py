"""Predictions are read from our JSON Lines and from the benchmarks' own files."""

from pathlib import Path

import pytest

from slmsql.consistency.candidates import read_candidates
from slmsql.consistency.prediction import match_ids, read_predictions, read_samples
from slmsql.errors import InputError
from slmsql.evaluation.submission import write_submission
from slmsql.files import write_json, write_jsonl
from slmsql.questions.question import Question

QUESTIONS = [Question(f"spider_dev_{n}", "How many?", "db", Path("db.sqlite")) for n in range(2)]
EXPECTED = {"spider_dev_0": "SELECT 1", "spider_dev_1": "SELECT 2"}


def test_json_lines_are_read(tmp_path):
    write_jsonl(tmp_path / "p.jsonl", [{"id": i, "sql": sql} for i, sql in EXPECTED.items()])
    assert read_predictions(tmp_path / "p.jsonl", QUESTIONS) == EXPECTED


def test_birds_object_is_read(tmp_path):
    lines = {"0": "SELECT 1\t----- bird -----\tdb", "1": "SELECT 2\t----- bird -----\tdb"}
    write_json(tmp_path / "predict_dev.json", lines)
    assert read_predictions(tmp_path / "predict_dev.json", QUESTIONS) == EXPECTED


def test_birds_object_is_keyed_by_question_id_in_a_subset(tmp_path):
    questions = [Question("bird_dev_717", "?", "db", Path("db.sqlite"))]
    write_json(tmp_path / "p.json", {"717": "SELECT 1"})
    assert read_predictions(tmp_path / "p.json", questions) == {"bird_dev_717": "SELECT 1"}


@pytest.mark.parametrize("database", ["", "\tdb"])
def test_spiders_lines_are_read(tmp_path, database):
    (tmp_path / "pred.sql").write_text(f"SELECT 1{database}\nSELECT 2{database}\n")
    assert read_predictions(tmp_path / "pred.sql", QUESTIONS) == EXPECTED


def test_a_tab_inside_the_sql_is_not_taken_for_a_database(tmp_path):
    (tmp_path / "pred.sql").write_text("SELECT 1\nSELECT\t'a b'\n")
    assert read_predictions(tmp_path / "pred.sql", QUESTIONS)["spider_dev_1"] == "SELECT\t'a b'"


def test_a_record_without_sql_is_an_empty_prediction(tmp_path):
    write_jsonl(tmp_path / "p.jsonl", [{"id": "a", "sql": None}])
    assert read_predictions(tmp_path / "p.jsonl", []) == {"a": ""}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"id": "a", "sql": "x"}, {"id": "a", "sql": "y"}], "record 2: the id 'a' occurs twice"),
        ([{"id": "a"}], "record 1: no 'sql'"),
        ([{"sql": "x"}], "record 1: no 'id'"),
        ([{"id": "a", "sql": ["x"]}], "'sql' must be text"),
        ([], "no predictions"),
    ],
)
def test_malformed_predictions_are_refused(tmp_path, records, message):
    write_jsonl(tmp_path / "p.jsonl", records)
    with pytest.raises(InputError, match=message):
        read_predictions(tmp_path / "p.jsonl", QUESTIONS)


def test_a_wrong_number_of_lines_is_refused(tmp_path):
    (tmp_path / "pred.sql").write_text("SELECT 1\n")
    with pytest.raises(InputError, match="1 lines for 2 questions"):
        read_predictions(tmp_path / "pred.sql", QUESTIONS)


def test_ids_must_agree():
    match_ids(EXPECTED, QUESTIONS, Path("p"))
    with pytest.raises(InputError, match="no prediction for spider_dev_1"):
        match_ids({"spider_dev_0": ""}, QUESTIONS, Path("p"))
    with pytest.raises(InputError, match="p: x not among the questions"):
        match_ids({**EXPECTED, "x": ""}, QUESTIONS, Path("p"))


def mini_dev():
    ids = ("bird_dev_137", "bird_dev_137#2", "bird_dev_1500")
    return [Question(name, "?", "db", Path("db.sqlite")) for name in ids]


@pytest.mark.parametrize(
    ("keys", "answers"), [(("137", "1500"), "aab"), (("0", "1", "2"), "abc")], ids=["id", "place"]
)
def test_mini_dev_is_keyed_by_question_id_or_by_position(tmp_path, keys, answers):
    write_json(tmp_path / "p.json", dict(zip(keys, "abc", strict=False)))
    found = read_predictions(tmp_path / "p.json", mini_dev())
    assert list(found.values()) == list(answers)


def test_our_submission_file_is_read_back(tmp_path):
    written = dict(
        zip(
            (question.id for question in mini_dev()),
            ("SELECT 1", "SELECT 2", "SELECT 3"),
            strict=True,
        )
    )
    for file in write_submission(mini_dev(), written, tmp_path):
        assert read_predictions(file, mini_dev()) == written


@pytest.mark.parametrize(
    "records",
    [
        [{"id": "bird_dev_137", "sqls": ["a", "b"]}],
        [{"question_id": 137, "pred_sqls": ["a", "b"]}],
    ],
)
@pytest.mark.parametrize("name", ["p.json", "p.jsonl"])
def test_several_samples_of_a_question_are_read_as_candidates(tmp_path, records, name):
    file = tmp_path / name
    (write_json if name == "p.json" else write_jsonl)(file, records)
    assert read_samples(file, mini_dev()[:1]) == {"bird_dev_137": ["a", "b"]}
    (candidate_set,) = read_candidates([file], mini_dev()[:1])
    assert [candidate.sql for candidate in candidate_set.candidates] == ["a", "b"]
    with pytest.raises(InputError, match="has 2 samples, not one"):
        read_predictions(file, mini_dev()[:1])


def test_omnisql_lists_samples_in_the_order_of_the_questions(tmp_path):
    records = [{"input_seq": "...", "pred_sqls": [text]} for text in "abc"]
    write_json(tmp_path / "p.json", records)
    assert list(read_predictions(tmp_path / "p.json", mini_dev()).values()) == ["a", "b", "c"]


def test_records_of_mini_dev_may_have_one_question_id_twice(tmp_path):
    records = [{"question_id": n, "sql": str(place)} for place, n in enumerate((137, 137, 1500))]
    write_jsonl(tmp_path / "p.jsonl", records)
    found = read_predictions(tmp_path / "p.jsonl", mini_dev())
    assert found == dict(zip((question.id for question in mini_dev()), "012", strict=True))


def test_a_prediction_may_be_called_pred_sql(tmp_path):
    write_jsonl(tmp_path / "p.jsonl", [{"question_id": 1500, "pred_sql": "SELECT 1"}])
    assert read_predictions(tmp_path / "p.jsonl", mini_dev()) == {"bird_dev_1500": "SELECT 1"}
