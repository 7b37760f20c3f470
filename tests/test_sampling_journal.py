"""Output that survives a kill at any moment, and refuses another configuration."""

import subprocess
import sys
from pathlib import Path

import pytest

from slmsql.errors import InputError
from slmsql.files import read_jsonl
from slmsql.sampling.journal import Journal

ROOT = Path(__file__).parent.parent
SETTINGS = {"model": "m", "n": 4, "stop": ("</answer>",)}


@pytest.fixture
def output(tmp_path):
    return tmp_path / "run" / "candidates.jsonl"


def test_records_are_on_disk_at_once_and_in_order_at_the_end(output):
    journal = Journal(output, SETTINGS)
    journal.add({"id": "b"})
    assert list(read_jsonl(output.with_name("candidates.jsonl.partial"))) == [{"id": "b"}]
    journal.add({"id": "a"})
    assert not output.exists()
    journal.finish(["a", "b"])
    assert [record["id"] for record in read_jsonl(output)] == ["a", "b"]
    assert sorted(file.name for file in output.parent.iterdir()) == [
        "candidates.jsonl",
        "candidates.jsonl.run.json",
    ]


def test_the_same_command_resumes_after_a_kill(output):
    Journal(output, SETTINGS).add({"id": "a", "sql": "SELECT 'ä'"})
    again = Journal(output, SETTINGS)
    assert again.records == {"a": {"id": "a", "sql": "SELECT 'ä'"}}
    again.add({"id": "b"})
    again.finish(["a", "b"])
    assert [record["id"] for record in read_jsonl(output)] == ["a", "b"]


@pytest.mark.parametrize("torn", [b'{"id": "b", "sq', b'{"id": "b"}', '{"id": "ä'.encode()[:-1]])
def test_half_a_line_at_the_end_is_removed(output, torn):
    Journal(output, SETTINGS).add({"id": "a"})
    with open(output.with_name("candidates.jsonl.partial"), "ab") as file:
        file.write(torn)
    again = Journal(output, SETTINGS)
    assert list(again.records) == ["a"]
    again.add({"id": "c"})
    again.close()
    assert list(Journal(output, SETTINGS).records) == ["a", "c"]


def test_a_finished_output_is_complete(output):
    journal = Journal(output, SETTINGS)
    journal.add({"id": "a"})
    assert not journal.is_complete
    journal.finish(["a"])
    journal.close()
    assert Journal(output, SETTINGS).is_complete
    assert list(Journal(output, SETTINGS).records) == ["a"]


def test_other_settings_are_refused(output):
    Journal(output, SETTINGS).add({"id": "a"})
    with pytest.raises(InputError, match="begun with n 4, now it is 8; give another --output"):
        Journal(output, SETTINGS | {"n": 8})


def test_settings_of_a_run_without_records_are_replaced(output):
    Journal(output, SETTINGS).close()
    Journal(output, SETTINGS | {"n": 8}).add({"id": "a"})
    with pytest.raises(InputError, match="begun with n 8, now it is 4"):
        Journal(output, SETTINGS)


def test_a_second_run_on_an_output_is_refused(output):
    with Journal(output, SETTINGS) as journal:
        journal.add({"id": "a"})
        with pytest.raises(InputError, match="another run is writing"):
            Journal(output, SETTINGS)
    assert list(Journal(output, SETTINGS).records) == ["a"]


def test_a_killed_run_releases_its_output(output):
    code = "import sys; from pathlib import Path; from slmsql.sampling.journal import Journal\n"
    code += "journal = Journal(Path(sys.argv[1]), {}); print('mine', flush=True); input()"
    command = [sys.executable, "-c", code, str(output)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == b"mine\n"
        with pytest.raises(InputError, match="another run is writing"):
            Journal(output, {})
        process.kill()
    assert Journal(output, {}).records == {}


def test_records_written_after_a_finished_output_are_kept(output):
    """A database that was missing is there now: the run goes on behind its own output."""
    with Journal(output, SETTINGS) as journal:
        journal.add({"id": "a"})
        journal.finish(["a"])
    Journal(output, SETTINGS).add({"id": "b"})
    assert list(Journal(output, SETTINGS).records) == ["a", "b"]


def test_a_file_of_another_program_is_not_overwritten(output):
    output.parent.mkdir()
    output.write_text("mine\n")
    with pytest.raises(InputError, match="was not written by this program"):
        Journal(output, SETTINGS)
    assert output.read_text() == "mine\n"


def test_lone_surrogates_do_not_break_the_journal(output):
    journal = Journal(output, SETTINGS)
    journal.add({"id": "a", "completion": "broken \ud800"})
    journal.finish(["a"])
    assert next(read_jsonl(output))["id"] == "a"
