"""Files between programs are complete or absent, and an error in one has a position."""

import os

import pytest

from slmsql.errors import InputError
from slmsql.files import file_hash, read_json, read_jsonl, write_json, write_jsonl


def test_records_come_back_as_they_were(tmp_path):
    records = [{"id": "ä", "n": 1}, {"id": "line\nbreak", "sql": None}]
    assert write_jsonl(tmp_path / "new" / "a.jsonl", records) == 2
    assert list(read_jsonl(tmp_path / "new" / "a.jsonl")) == records


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": 1', "a.jsonl:2: not JSON"),
        (b"[1]", "a.jsonl:2: expected a JSON object, got list"),
        (b'{"a": "\xff"}', "a.jsonl:2: not UTF-8 at byte 7"),
    ],
)
def test_a_malformed_record_is_named_by_its_line(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n' + line + b"\n")
    with pytest.raises(InputError, match=message):
        list(read_jsonl(tmp_path / "a.jsonl"))


def test_truncated_json_is_named_with_its_place(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": 1},\n{"a"')
    with pytest.raises(InputError, match=r"a\.json:2:5: not JSON"):
        read_json(tmp_path / "a.json")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    def records():
        yield {"half": 1}
        raise RuntimeError("a fault in the middle")

    write_json(tmp_path / "a.json", 1)
    with pytest.raises(RuntimeError):
        write_jsonl(tmp_path / "a.json", records())
    assert read_json(tmp_path / "a.json") == 1
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_lone_surrogate_does_not_lose_the_file(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"sql": "SELECT '\ud800'"}, {"sql": "SELECT 1"}])
    assert [record["sql"] for record in read_jsonl(tmp_path / "a.jsonl")][1] == "SELECT 1"


def test_equal_content_has_an_equal_hash(tmp_path):
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
    a, b, c = (file_hash(tmp_path / name) for name in "abc")
    assert a == b != c
