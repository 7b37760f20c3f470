"""Candidates come from anywhere: our files, shards, other people's predictions."""

import json

import pytest

from slmsql.consistency.candidates import (
    Candidate,
    CandidateSet,
    fixed_count,
    read_candidates,
    read_record,
    run_candidates,
    with_databases,
)
from slmsql.errors import InputError
from slmsql.execution import Executor, Status
from slmsql.files import write_jsonl
from slmsql.questions.question import Question


@pytest.fixture
def questions(singers):
    return [Question(f"q{number}", "How many?", "singers", singers) for number in range(3)]


def predictions(path, sql):
    write_jsonl(path, [{"id": identity, "sql": text} for identity, text in sql.items()])
    return path


def three(text):
    return dict.fromkeys(("q0", "q1", "q2"), text)


def test_each_prediction_file_gives_one_candidate(tmp_path, questions):
    files = [predictions(tmp_path / f"{name}.jsonl", three(f"SELECT '{name}'")) for name in "ab"]
    first = read_candidates(files, questions)[0]
    assert [candidate.sql for candidate in first.candidates] == ["SELECT 'a'", "SELECT 'b'"]
    assert [candidate.source for candidate in first.candidates] == [str(file) for file in files]


def test_files_of_the_same_name_in_two_folders_are_two_sources(tmp_path, questions):
    for run in "ab":
        (tmp_path / run).mkdir()
    files = [
        predictions(tmp_path / run / "predictions.jsonl", three(f"SELECT '{run}'")) for run in "ab"
    ]
    sources = {candidate.source for candidate in read_candidates(files, questions)[0].candidates}
    assert len(sources) == 2


def test_the_first_round_of_several_files_counts_from_the_first_candidate(
    tmp_path, questions, singers
):
    files = []
    for name, first_round in (("fixed", None), ("adaptive", 2)):
        files.append(tmp_path / f"{name}.jsonl")
        candidates = (Candidate("SELECT 1"),) * 3
        sets = [CandidateSet(q.id, "", singers, candidates, first_round) for q in questions]
        write_jsonl(files[-1], (candidate_set.as_record() for candidate_set in sets))
    assert [s.first_round for s in read_candidates(files, questions)] == [5] * 3
    assert fixed_count(read_candidates(files, questions)) == 5
    assert fixed_count(read_candidates(files[:1], questions)) == 3


def test_predictions_and_our_own_candidates_vote_together(tmp_path, questions, singers):
    ours = tmp_path / "candidates.jsonl"
    sets = [CandidateSet(q.id, "singers", singers, (Candidate("SELECT 1"),)) for q in questions]
    write_jsonl(ours, (candidate_set.as_record() for candidate_set in sets))
    theirs = predictions(tmp_path / "p.jsonl", three("SELECT 2"))
    sets = read_candidates([ours, theirs], questions)
    assert [candidate.sql for candidate in sets[2].candidates] == ["SELECT 1", "SELECT 2"]


def test_all_shards_of_a_run_are_read(tmp_path, questions, singers):
    files = []
    for number, question in enumerate(questions):
        files.append(tmp_path / f"shard{number}.jsonl")
        candidate_set = CandidateSet(question.id, "singers", singers, (Candidate("SELECT 1"),))
        write_jsonl(files[-1], [candidate_set.as_record()])
    assert [s.id for s in read_candidates(files[::-1], questions)] == ["q0", "q1", "q2"]


def test_an_unknown_id_is_refused(tmp_path, questions):
    file = predictions(tmp_path / "p.jsonl", {**three("SELECT 1"), "q9": "SELECT 1"})
    with pytest.raises(InputError, match=r"p\.jsonl: 'q9' is not among the questions"):
        read_candidates([file], questions)


def test_a_question_without_candidates_is_refused(tmp_path, questions):
    file = predictions(tmp_path / "p.jsonl", {"q0": "SELECT 1"})
    with pytest.raises(InputError, match=r"no candidate for 'q1' \(and 1 more\)"):
        read_candidates([file], questions)


def test_only_the_wanted_questions_need_candidates(tmp_path, questions):
    """A subset, a shard or mini-dev looks its questions up by id, not by position."""
    file = predictions(tmp_path / "p.jsonl", {"q2": "SELECT 2"})
    sets = read_candidates([file], questions, wanted=questions[2:])
    assert [(s.id, s.candidates[0].sql) for s in sets] == [("q2", "SELECT 2")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": "q0", "candidates": 3}, "must be a list"),
        ({"id": "q0", "candidates": ["SELECT 1"]}, "must be an object with 'sql'"),
        ({"id": "q0", "candidates": [{"sql": 1}]}, "must be an object with 'sql'"),
        ({"id": "q0", "candidates": [{"sql": "x", "status": "fine"}]}, "unknown status 'fine'"),
        ({"candidates": []}, "no 'id'"),
    ],
)
def test_a_malformed_record_is_named_with_its_line(tmp_path, questions, line, message):
    file = tmp_path / "c.jsonl"
    good = {"id": "q1", "candidates": [{"sql": "SELECT 1"}]}
    file.write_text(json.dumps(good) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(InputError, match=message) as error:
        read_candidates([file], questions)
    assert "c.jsonl:2" in str(error.value)


def test_a_record_is_read_as_it_was_written(singers):
    sql = "SELECT 'a;b' -- kept\nFROM singer"
    candidates = (
        Candidate(sql, "<answer>…", Status.OK, digest="d", row_count=0, logprob=-0.5),
        Candidate(None, "no answer", Status.ERROR, "there is no SQL"),
        Candidate("SELECT 1", repaired="SELEC 1", source="gpt"),
    )
    candidate_set = CandidateSet("q", "singers", singers, candidates)
    assert read_record(json.loads(json.dumps(candidate_set.as_record())), "here") == candidate_set


def test_candidates_run_once_and_keep_their_other_fields(singers):
    before = Candidate("SELECT 1", status=Status.OK, digest="known")
    new = [Candidate("SELECT count(*) FROM singer"), Candidate("SELECT nowhere"), Candidate(None)]
    candidate_set = CandidateSet("q", "singers", singers, (before, *new))
    with Executor(workers=1) as executor:
        ran = run_candidates([candidate_set], executor)[0].candidates
    assert ran[0] == before
    assert [candidate.status for candidate in ran[1:]] == [Status.OK, Status.ERROR, Status.ERROR]
    assert (ran[1].row_count, ran[2].error) == (1, "no such column: nowhere")
    assert ran[3].error == "there is no SQL"


def test_questions_without_a_database_are_split_off(singers, tmp_path):
    there = CandidateSet("q0", "singers", singers, ())
    gone = CandidateSet("q1", "gone", tmp_path / "gone.sqlite", ())
    assert with_databases([there, gone]) == ([there], [gone])
