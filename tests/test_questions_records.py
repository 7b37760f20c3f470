"""Records from files and from data sets as `datasets` loads them."""

import json

import pytest

from slmsql.errors import InputError
from slmsql.questions.records import read_records

ROWS = [{"question": "How many?", "answer": "SELECT 1"}, {"question": "Ω \x00", "answer": ""}]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder in the place of the hub: `datasets` loads both alike."""
    pytest.importorskip("datasets").disable_progress_bars()
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        rows = ROWS if split == "train" else ROWS[:1]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text)
    return f"hub:{folder}"


def test_a_data_set_of_the_hub_gives_its_records(hub):
    assert list(read_records(hub)) == ROWS
    assert list(read_records(f"{hub}:test")) == ROWS[:1]


def test_a_split_that_is_not_there_is_one_line(hub):
    with pytest.raises(InputError, match=r"split .dev., could not be read: .*dev") as caught:
        list(read_records(f"{hub}:dev"))
    assert "\n" not in str(caught.value)


def test_a_data_set_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="could not be read"):
        list(read_records(f"hub:{tmp_path}/nothing"))


def test_a_list_with_something_else_in_it_is_refused_by_its_position(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1}, 2]')
    with pytest.raises(InputError, match=r"rows\.json, record 1: expected an object, got 2"):
        list(read_records(str(path)))
