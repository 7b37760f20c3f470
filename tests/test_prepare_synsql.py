"""The think builder as a program: real records, interrupted runs, any number of processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slmsql.files import read_jsonl
from slmsql.prompt.answer import parse
from slmsql.prompt.build import PromptSettings, build_prompt
from slmsql.questions.question import Question

pytestmark = pytest.mark.slow  # each test starts programs

ROOT = Path(__file__).parent.parent


def command(data, databases, output, *more):
    program = [sys.executable, "scripts/prepare_synsql.py", "--data", data, "--output", output]
    return [str(word) for word in (*program, "--databases", databases, *more)]


def run(*arguments):
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="session")
def sample(benchmarks, tmp_path_factory):
    """The real sample, its databases made from their DDL, and the rows built from it."""
    folder = tmp_path_factory.mktemp("synsql")
    data, output = benchmarks / "synsql" / "data.json", folder / "rows.jsonl"
    ddl = benchmarks / "synsql" / "schemas.json"
    done = run(data, folder / "databases", output, "--ddl", ddl, "--max_tokens", "0")
    assert done.returncode == 0, done.stderr
    return data, folder / "databases", output


@pytest.mark.slow
def test_every_real_record_is_a_row_or_counted(sample):
    _, _, output = sample
    card = json.loads(Path(f"{output}.card.json").read_text())
    assert card["output"]["rows"] + sum(card["left_out"].values()) == 1000
    assert card["output"]["rows"] == len(list(read_jsonl(output))) > 850
    assert card["by_difficulty"] == {"Complex": card["output"]["rows"]}


def test_a_row_has_the_prompt_that_inference_would_send(sample):
    data, _, output = sample
    records = json.loads(data.read_text())
    for row in list(read_jsonl(output))[::50]:
        record = records[int(row["id"].rpartition("_")[2])]
        question = Question(
            "", record["question"], "", Path(row["database"]), record["external_knowledge"]
        )
        assert row["prompt"] == build_prompt(question, PromptSettings()).messages
        answer = parse(row["completion"][0]["content"])
        assert answer.well_formed
        assert answer.sql == record["sql"].rstrip("; \n") == row["gold_sql"].rstrip("; \n")
        assert record["cot"].startswith(answer.thought)


@pytest.mark.slow
def test_rows_are_the_same_bytes_for_any_number_of_processes(sample, tmp_path):
    data, databases, output = sample
    other = tmp_path / "other.jsonl"
    done = run(data, databases, other, "--max_tokens", "0", "--workers", "3")
    assert done.returncode == 0, done.stderr
    assert other.read_bytes() == output.read_bytes()


def large(file, data, copies):
    """The sample several times over, each copy with other questions."""
    records = json.loads(data.read_text())
    more = [{**r, "question": f"{r['question']} ({n})"} for n in range(copies) for r in records]
    file.write_text(json.dumps(more))
    return file


@pytest.mark.slow
def test_a_kill_in_the_middle_loses_nothing(sample, tmp_path):
    data, databases, _ = sample
    data = large(tmp_path / "data.json", data, 6)
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    assert run(data, databases, whole).returncode == 0
    process = subprocess.Popen(command(data, databases, killed), cwd=ROOT)
    parts = tmp_path / "killed.jsonl.parts"
    while process.poll() is None and not list(parts.glob("00000[1-9].json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = sorted(parts.glob("*.jsonl"))
    assert done
    assert not killed.exists()
    written = done[0].stat().st_mtime_ns
    again = run(data, databases, killed)
    assert again.returncode == 0, again.stderr
    assert killed.read_bytes() == whole.read_bytes()
    assert written
    assert not parts.exists()


@pytest.mark.slow
def test_no_process_is_left_when_the_builder_is_killed(sample, tmp_path):
    data, databases, _ = sample
    data = large(tmp_path / "data.json", data, 6)
    process = subprocess.Popen(command(data, databases, tmp_path / "rows.jsonl"), cwd=ROOT)
    children = []
    while process.poll() is None and len(children) < 2:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        time.sleep(0.05)
    time.sleep(1.5)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{pid}") for pid in children):
        time.sleep(0.1)
    assert not [pid for pid in children if os.path.exists(f"/proc/{pid}")]


def small(tmp_path, singers, records):
    data = tmp_path / "data.json"
    data.write_text(json.dumps(records))
    return data, singers.parent.parent, tmp_path / "rows.jsonl"


def raw(number=0, **changes):
    sql = changes.pop("sql", "SELECT name FROM singer")
    fields = {
        "db_id": "singers",
        "sql_complexity": "Simple",
        "question": f"q{number}",
        "cot": f"Think.\n```sql\n{sql}\n```",
        "sql": sql,
    }
    return fields | changes


def test_each_reason_is_counted(tmp_path, singers):
    records = [
        raw(0),
        raw(0),
        raw(1, sql="SELECT nothing FROM singer"),
        raw(2, db_id="atlantis"),
        raw(3, sql="DROP TABLE singer"),
        raw(4, sql="SELECT 1 -- x"),
        raw(5, question=""),
        7,
        raw(6, cot="Think " * 9000 + "\n```sql\nSELECT name FROM singer\n```"),
        raw(7, question="lone \ud800 surrogate"),
    ]
    done = run(*small(tmp_path, singers, records))
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "rows.jsonl.card.json").read_text())
    assert card["output"]["rows"] == 2
    assert card["left_out"] == {
        "malformed": 2,
        "duplicate": 1,
        "SQL does not run: error": 1,
        "no database": 1,
        "no SELECT": 1,
        "comment in SQL": 1,
        "too long": 1,
    }


def test_a_run_with_other_settings_does_not_mix_with_existing_parts(tmp_path, singers):
    data, databases, output = small(tmp_path, singers, [raw()])
    parts = tmp_path / "rows.jsonl.parts"
    parts.mkdir()
    (parts / "settings.json").write_text('{"seed": 7}')
    done = run(data, databases, output)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "rows.jsonl.parts has parts of a run with other settings" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "error: "),
        (b"[]", "no records in it"),
        (json.dumps([raw(), raw(1)]).encode()[:-30], "was it downloaded whole?"),
        (b"[1, 2]", "no record became a row; left out: 2 malformed"),
        (b'[{"db_id": "\xff\xfe"}]', "error: "),
    ],
)
def test_a_useless_file_is_one_line_and_leaves_no_rows(tmp_path, singers, content, message):
    data, databases, output = small(tmp_path, singers, [])
    data.write_bytes(content)
    done = run(data, databases, output)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--template", "nope"), "no template 'nope'"),
        (("--tokenizer", "/no/such"), "/no/such is not a model folder"),
        (("--share", "0"), "share must be above 0"),
        (("--ddl", "/no/such.json"), "such.json"),
    ],
)
def test_wrong_options_are_found_before_the_work(tmp_path, singers, arguments, message):
    done = run(*small(tmp_path, singers, [raw()]), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_thinned_schemas_and_budgets_are_the_same_for_the_same_seed(tmp_path, singers):
    data, databases, output = small(tmp_path, singers, [raw(n) for n in range(5)])
    options = ("--thinning", "true", "--schema_tokens", "100", "--share", "0.9", "--seed", "3")
    assert run(data, databases, output, *options).returncode == 0
    again = tmp_path / "again.jsonl"
    assert run(data, databases, again, *options).returncode == 0
    assert output.read_bytes() == again.read_bytes()
