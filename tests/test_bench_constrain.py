"""The measurement of constrained sampling, and of what a constraint takes to begin."""

from pathlib import Path

import pytest

from scripts.bench.constrain import Score, difference, errors
from scripts.bench.grammar_size import made_script
from slmsql.consistency.candidates import Candidate, CandidateSet
from slmsql.consistency.judging import JudgedSet
from slmsql.execution import Execution, Status, Verdict, create_database
from slmsql.files import read_json, read_jsonl, write_json
from slmsql.schema.reading import read_schema
from tests.tiny_model import tiny_model
from tests.warm_programs import Program

GOLD = Execution(Status.OK)
RIGHT = Verdict(True, Execution(Status.OK), GOLD)
WRONG = Verdict(False, Execution(Status.OK), GOLD)
NO_COLUMN = Verdict(False, Execution(Status.ERROR, "no such column: x", "no such column"), GOLD)


def judged(*outcomes):
    """A question with samples of these (SQL, digest of the result, verdict)."""
    candidates = tuple(
        Candidate(sql, status=Status.OK if digest else Status.ERROR, digest=digest)
        for sql, digest, _ in outcomes
    )
    verdicts = tuple(verdict for *_, verdict in outcomes)
    return JudgedSet(CandidateSet("q", "db", Path("db.sqlite"), candidates), verdicts)


def test_the_vote_may_be_wrong_although_a_sample_is_right():
    wrong = [("SELECT 2", "two", WRONG)] * 2
    score = Score.of(judged(("SELECT 1", "one", RIGHT), *wrong, ("SELECT x", None, NO_COLUMN)))
    assert score == Score(right=0.25, vote=False, any_right=True)


def test_a_question_whose_samples_all_fail_has_no_vote():
    assert Score.of(judged(("SELECT x", None, NO_COLUMN))) == Score(0.0, False, False)


def test_samples_that_fail_are_counted_by_kind_of_error():
    sets = {"q": judged(("SELECT 1", "one", RIGHT), *[("SELECT x", None, NO_COLUMN)] * 3)}
    assert errors(sets) == {
        "samples": 4,
        "run": 1,
        "share": 25.0,
        "fail_for_a_name": 3,
        "errors": {"no such column": 3},
    }


def test_a_difference_is_paired_by_question():
    found = difference([0.0, 0.5, 1.0, 0.0], [0.5, 1.0, 1.0, 0.5])
    assert (found["off"], found["schema"], found["difference"]) == (37.5, 75.0, 37.5)
    low, high = found["interval"]
    assert 0 < low < 37.5 < high <= 50


def test_a_made_schema_has_as_many_columns_as_it_says(tmp_path):
    database = tmp_path / "made.sqlite"
    create_database(database, made_script(100))
    tables = read_schema(database, sample_values=0).tables
    assert sum(len(table.columns) for table in tables) == 100


@pytest.mark.slow
def test_both_ways_are_sampled_compared_and_kept(warm, tmp_path):
    (tmp_path / "shop").mkdir()
    create_database(tmp_path / "shop" / "shop.sqlite", "CREATE TABLE item (id INTEGER, name TEXT)")
    question = {"id": "q1", "db_id": "shop", "question": "How many?", "sql": "SELECT 1"}
    write_json(tmp_path / "questions.json", [question])
    options = {
        **{"model": tiny_model(tmp_path / "model"), "sampler": "transformers"},
        **{"questions": tmp_path / "questions.json", "databases": tmp_path, "n": 2},
        **{"template": "schema", "max_tokens": 12, "batch": 2, "turns": 1, "workers": 1},
        "output": tmp_path / "run",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = ["python", "scripts/bench/constrain.py", *words]
    status, text = Program(warm, command, tmp_path / "log").finish()
    assert status == 0, text
    assert "1,000 columns: reader" in text
    (free,) = read_jsonl(tmp_path / "run" / "candidates_off.jsonl")
    (constrained,) = read_jsonl(tmp_path / "run" / "candidates_schema.jsonl")
    assert constrained["constrain"] == "schema"
    assert "constrain" not in free
    figures = read_json(tmp_path / "run" / "figures.json")
    assert figures["scores"]["n"] == 1
    assert figures["runs"]["off"]["samples"] == figures["runs"]["schema"]["samples"] == 2
    assert figures["tokens_per_second"]["batch"] == 2
