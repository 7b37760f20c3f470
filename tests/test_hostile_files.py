"""Files that attack the programs: each ends in one line that names it, and no figure is wrong."""

import json
from contextlib import suppress
from fractions import Fraction
from math import comb
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slmsql.cli.options import QuestionOptions
from slmsql.consistency.candidates import Candidate, read_candidates
from slmsql.consistency.prediction import read_predictions
from slmsql.consistency.voting import ResultGroup, confidence
from slmsql.errors import InputError
from slmsql.evaluation import as_record, evaluate
from slmsql.execution import Executor, Statement, create_database, database_fault
from slmsql.files import read_json, read_json_object, read_jsonl
from slmsql.match import Match
from slmsql.questions.question import Question
from slmsql.sampling.journal import Journal
from slmsql.schema.reading import read_schema
from slmsql.training.checkpoints import MARKER, fault_of
from slmsql.training.run_record import check_same_run
from slmsql.values.index import open_index
from tests.in_process import run_here

ROOT = Path(__file__).parent.parent
QUESTIONS = [Question(f"q_{n}", "How many?", "singer", Path("no.sqlite")) for n in range(2)]
NESTED = "[" * 200_000
DIGITS = "9" * 6_000


def evaluate_program(*words):
    return run_here("scripts/evaluate.py", *words)


def raises_one_line(read, file):
    with pytest.raises(InputError) as caught:
        read()
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "content",
    [
        *(NESTED, '{"id": ' + NESTED, '{"id": ' + DIGITS + ', "sql": ""}', "", "[]", "null", "NaN"),
        *('{"id": "q_0", "id": "q_1", "sql": ""}', '{"id": "q_0", "sql": "", "sql": "SELECT 1"}'),
        *('{"id": "q_0", "sql": {}}', '{"id": "q_0", "sql": 1e999}', '{"q_0"', "\0", "\ufeff{"),
        *('{"0": "SELECT 1", "0": "SELECT 2"}', '{"7": "SELECT 1"}', '{"0": NaN}'),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_hostile_predictions_are_refused(tmp_path, content, suffix):
    if (content, suffix) == ("", ".json"):
        content = " "
    file = tmp_path / f"p{suffix}"
    file.write_text(content)
    raises_one_line(lambda: read_predictions(file, QUESTIONS), file)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".sql"])
def test_a_folder_or_nested_json_as_predictions_is_an_error_of_one_line(singers, tmp_path, suffix):
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"id": "q", "question": "?", "db_id": "singers", "gold_sql": "SELECT 1"}')
    file = tmp_path / f"p{suffix}"
    file.mkdir()
    for _ in range(2):
        result = evaluate_program(
            *("--questions", questions, "--databases", tmp_path, "--predictions", file)
        )
        assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr[-500:]
        assert str(file) in result.stderr
        if file.is_dir():
            file.rmdir()
            file.write_text(NESTED + "\n" + NESTED)


@pytest.mark.parametrize("key", ["a", "it's\n", "\ud800"])
def test_a_doubled_key_is_refused_wherever_it_stands(tmp_path, key):
    text = json.dumps({"outer": [{key: 1}]})[:-3] + "," + json.dumps({key: 2})[1:] + "]}"
    (tmp_path / "a.json").write_text(text)
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' + text)
    with pytest.raises(InputError, match=r"a\.json: an object has the key .* twice"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"a\.jsonl:2: an object has the key .* twice"):
        list(read_jsonl(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    "lines",
    [
        ["SELECT name FROM singer ORDER BY name\tDESC", "SELECT 1"],
        ["SELECT name FROM\tsinger", "SELECT 1"],
        ["SELECT a\tb", "SELECT\t1"],
    ],
)
def test_a_tab_does_not_cut_the_sql(tmp_path, lines):
    (tmp_path / "p.sql").write_text("\n".join(lines) + "\n")
    assert list(read_predictions(tmp_path / "p.sql", QUESTIONS).values()) == lines
    with_databases = [f"{line}\tsinger" for line in lines]
    (tmp_path / "p.sql").write_text("\n".join(with_databases) + "\n")
    assert list(read_predictions(tmp_path / "p.sql", QUESTIONS).values()) == lines
    numbered = {str(n): f"{line}\t----- bird -----\tsinger" for n, line in enumerate(lines)}
    (tmp_path / "p.json").write_text(json.dumps(numbered))
    assert list(read_predictions(tmp_path / "p.json", QUESTIONS).values()) == lines


def candidates_file(folder, **fields):
    candidate = {"sql": "SELECT 1", "status": "ok", "digest": "d", "row_count": 1}
    record = {"id": "q_0", "candidates": [candidate | fields.pop("candidate", {})], **fields}
    (folder / "candidates.jsonl").write_text(json.dumps(record) + "\n")
    return folder / "candidates.jsonl"


@pytest.mark.parametrize(
    "candidate",
    [
        *({"logprob": value} for value in (float("nan"), -float("inf"), float("inf"), 0.5, "-1")),
        *({"logprob": value} for value in (True, [], -(10**400))),
        *({"row_count": value} for value in ("x", float("nan"), float("inf"), -1, None, 10**400)),
        *({"digest": []}, {"error": 1}, {"repaired": {}}, {"status": []}, {"status": "fine"}),
        {"sql": 1},
    ],
    ids=lambda candidate: repr(candidate)[:40],
)
def test_hostile_candidates_are_refused(tmp_path, candidate):
    file = candidates_file(tmp_path, candidate=candidate)
    raises_one_line(lambda: read_candidates([file], QUESTIONS[:1]), file)


@pytest.mark.parametrize("tokens", ["x", float("nan"), -1, None, [1]])
def test_hostile_costs_are_refused(tmp_path, tokens):
    file = candidates_file(tmp_path, tokens=tokens)
    raises_one_line(lambda: read_candidates([file], QUESTIONS[:1]), file)


def test_ordinary_candidates_are_read(tmp_path):
    file = candidates_file(tmp_path, candidate={"logprob": -0.5, "row_count": 3}, tokens=7)
    (candidate,) = read_candidates([file], QUESTIONS[:1])[0].candidates
    assert (candidate.logprob, candidate.row_count) == (-0.5, 3)


@pytest.mark.parametrize(("first", "second"), [(3, 1), (700, 600), (1100, 0), (1300, 1200)])
def test_confidence_does_not_overflow(first, second):
    groups = [ResultGroup((Candidate("SELECT 1"),) * votes, votes) for votes in (first, second)]
    total = first + second + 1
    expected = Fraction(sum(comb(total, k) for k in range(first + 1)), 2**total)
    assert confidence(groups) == float(expected)


@pytest.mark.parametrize("line", ['{"x": 1}', "[]", NESTED, DIGITS, '{"id": 1, "id": 2}'])
def test_a_hostile_journal_is_refused(tmp_path, line):
    output = tmp_path / "candidates.jsonl"
    with Journal(output, {"n": 1}) as journal:
        journal.add({"id": "q_0"})
    partial = tmp_path / "candidates.jsonl.partial"
    with open(partial, "a") as file:
        file.write(line + "\n")
    raises_one_line(lambda: Journal(output, {"n": 1}), partial)


@pytest.mark.parametrize("content", ["[]", "", "null", '"n"', NESTED, '{"n": 1, "n": 1}'])
def test_hostile_settings_of_a_run_are_refused(tmp_path, content):
    output, record = tmp_path / "candidates.jsonl", tmp_path / "run.json"
    with Journal(output, {"n": 1}) as journal:
        journal.add({"id": "q_0"})
    settings_file = tmp_path / "candidates.jsonl.run.json"
    for file in (settings_file, record):
        file.write_text(content)
    raises_one_line(lambda: Journal(output, {"n": 1}), settings_file)
    raises_one_line(lambda: check_same_run({"arguments": {}}, tmp_path), record)


@pytest.mark.parametrize(
    "content", ['{"arguments": []}', "{}", '{"arguments": {}, "databases": 1}']
)
def test_a_run_record_without_arguments_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    raises_one_line(lambda: check_same_run({"arguments": {}}, tmp_path), tmp_path / "run.json")


def test_a_checkpoint_with_a_malformed_marker_is_not_complete(tmp_path):
    (tmp_path / MARKER).write_text("[]")
    assert "expected a JSON object" in fault_of(tmp_path)


PARTS = (
    *("{", "}", "[", "]", ":", ",", '"', "\\", "\n", "\t", " ", "\r", "\0", "\u2028"),
    *('"id"', '"sql"', '"candidates"', '"q_0"', '"SELECT 1"', '"0"', "SELECT 1", "singer"),
    *("null", "true", "NaN", "-Infinity", "1e999", DIGITS, '"\\ud800"', "\ufeff", "é", "0"),
    *('{"id": "q_0", "sql": "SELECT 1"}', '{"id": "q_1", "candidates": [{"sql": null}]}'),
    *("\t----- bird -----\t", '"logprob": 1', '"row_count": "x"', '{"sql": "", '),
)
contents = st.lists(st.sampled_from(PARTS), max_size=20).map("".join) | st.binary(max_size=60)


@pytest.mark.slow
@settings(
    max_examples=2500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(contents, st.sampled_from([".json", ".jsonl", ".sql"]))
def test_generated_files_are_read_or_refused(tmp_path, content, suffix):
    file = tmp_path / f"candidates{suffix}"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    for read in (
        lambda: read_predictions(file, QUESTIONS),
        lambda: read_candidates([file], QUESTIONS),
        lambda: read_json_object(file),
    ):
        with suppress(InputError):
            read()


def broken_databases(folder):
    """One database of each kind of fault, by the reason for which its question is left out."""

    def path(name):
        (folder / name).mkdir()
        return folder / name / f"{name}.sqlite"

    def table(name):
        rows = ", ".join(f"({n}, '{'x' * 200}')" for n in range(500))
        create_database(path(name), f"CREATE TABLE t (a, b); INSERT INTO t VALUES {rows}")
        return folder / name / f"{name}.sqlite"

    path("empty").write_bytes(b"")
    path("garbage").write_bytes(b"<html>" * 1000)
    path("folder").mkdir()
    path("missing")
    table("log").with_name("log.sqlite-wal").write_bytes(b"frames")
    cut = table("cut")
    cut.write_bytes(cut.read_bytes()[:150])
    pages = table("pages")
    content = bytearray(pages.read_bytes())
    content[3 * 4096 : 6 * 4096] = b"\xaa" * (3 * 4096)
    pages.write_bytes(content)
    return {
        "empty": "not an SQLite database",
        "garbage": "not an SQLite database",
        "folder": "a folder, not a database",
        "missing": "no database",
        "log": "a database with unfinished changes",
        "cut": "damaged database",
        "pages": "damaged database",
    }


def question(number, folder, db_id, gold="SELECT count(*) FROM t"):
    return Question(f"q_{number}", "?", db_id, folder / db_id / f"{db_id}.sqlite", gold_sql=gold)


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def test_a_broken_database_is_in_no_denominator(singers, executor):
    folder = singers.parent.parent
    reasons = broken_databases(folder)
    questions = [question(n, folder, db_id) for n, db_id in enumerate(reasons)]
    gold = "SELECT name FROM singer"
    questions += [question(7, folder, "singers", gold), question(8, folder, "singers", gold)]
    predictions = {q.id: "SELECT b FROM t" for q in questions} | {"q_7": gold, "q_8": "SELECT x"}
    evaluation = evaluate(questions, predictions, match=Match.BIRD, executor=executor)
    assert {q.db_id: reason for q, reason in evaluation.missing.items()} == reasons
    record = as_record(evaluation)
    assert (record["execution_accuracy"], record["n"], record["left_out"]) == (50.0, 2, 7)
    assert record["left_out_because"] == {
        "not an SQLite database": 2,
        "a folder, not a database": 1,
        "no database": 1,
        "a database with unfinished changes": 1,
        "damaged database": 2,
    }
    assert {metric["n"] for metric in record["metrics"].values()} == {2}


def test_one_statement_that_shows_damage_leaves_out_all_questions_of_its_database(
    singers, executor
):
    folder = singers.parent.parent
    broken_databases(folder)
    questions = [question(n, folder, "pages", "SELECT 1") for n in range(2)]
    predictions = {"q_0": "SELECT 1", "q_1": "SELECT b FROM t"}
    evaluation = evaluate(questions, predictions, match=Match.BIRD, executor=executor)
    assert (evaluation.outcomes, len(evaluation.missing)) == ((), 2)


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT name FROM singer ORDER BY name COLLATE "file is not a database"',
        'SELECT "database disk image is malformed"(1)',
        "SELECT * FROM [malformed database schema]",
        "SELECT 'file is not a database' file is not a database",
        "SELECT abs(-9223372036854775808) -- database disk image is malformed",
    ],
)
def test_a_prediction_cannot_pretend_that_the_database_is_damaged(singers, executor, sql):
    (execution,) = executor.run([Statement(singers, sql)])
    assert not execution.ok
    assert execution.kind != "database"
    asked = question(0, singers.parent.parent, "singers", "SELECT name FROM singer")
    evaluation = evaluate([asked], {"q_0": sql}, match=Match.BIRD, executor=executor)
    assert (as_record(evaluation)["n"], evaluation.missing) == (1, {})


def test_evaluate_counts_broken_databases_and_ends(singers, tmp_path):
    reasons = broken_databases(tmp_path)
    asked = [question(n, tmp_path, db_id) for n, db_id in enumerate([*reasons, "singers"])]
    questions, predictions = tmp_path / "questions.jsonl", tmp_path / "predictions.jsonl"
    questions.write_text(
        "".join(
            json.dumps({"id": q.id, "question": "?", "db_id": q.db_id, "gold_sql": "SELECT 1"})
            + "\n"
            for q in asked
        )
    )
    predictions.write_text(
        "".join(json.dumps({"id": q.id, "sql": "SELECT 1"}) + "\n" for q in asked)
    )
    words = ("--databases", tmp_path, "--predictions", predictions)
    result = evaluate_program("--questions", questions, *words, "--json", tmp_path / "report.json")
    assert result.returncode == 0, result.stderr
    report = read_json_object(tmp_path / "report.json")
    assert (report["n"], report["questions"]) == (2, 8)  # nothing touched the damaged pages
    assert "left out: 1 (a folder, not a database)" in result.stdout


def test_sampling_leaves_out_broken_databases_too(singers, capsys):
    folder = singers.parent.parent
    reasons = broken_databases(folder)
    asked = [question(n, folder, db_id) for n, db_id in enumerate([*reasons, "singers"])]
    options = QuestionOptions(questions="unused")
    assert [q.db_id for q in options.select(asked)] == ["pages", "singers"]
    message = capsys.readouterr().err
    assert message.startswith("left out: 6 of 8 questions (2 not an SQLite database, ")
    with pytest.raises(FileNotFoundError, match="1 not an SQLite database"):
        options.select(asked[:1])


def test_a_prompt_over_damaged_pages_is_an_error_of_one_line(tmp_path):
    broken_databases(tmp_path)
    database = tmp_path / "pages" / "pages.sqlite"
    raises_one_line(lambda: read_schema(database), database)
    raises_one_line(lambda: open_index(database, tmp_path / "indexes"), database)


@pytest.mark.parametrize("path", ["a\0b.sqlite", "\ud800.sqlite", "a" * 5000, "singers.sqlite/a"])
def test_an_impossible_path_is_not_a_database(singers, path):
    assert database_fault(singers.parent / path) in ("no database", "unreadable database")
