"""A malformed row is named with file and number, before anything heavy is loaded."""

import json

import pytest

from slmsql.errors import InputError
from slmsql.training.rows import count_sft_rows, read_sft_rows

GOOD = {
    "id": "1",
    "prompt": [{"role": "user", "content": "q"}],
    "completion": [{"role": "assistant", "content": "a"}],
}


def test_a_row_keeps_its_prompt_and_its_answer(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(GOOD) + "\n")
    assert list(read_sft_rows(path)) == [{"prompt": GOOD["prompt"], "completion": "a"}]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prompt": "q"}, "row 2: prompt must be a list of messages, got 'q'"),
        ({"prompt": []}, "row 2: prompt must be a list of messages"),
        ({"prompt": [{"role": "user"}]}, "row 2: prompt: expected a role and a content"),
        ({"completion": None}, "row 2: completion must be a list"),
        ({"completion": [{"role": "user", "content": "a"}]}, "one message of the assistant"),
        ({"completion": [{"role": "assistant", "content": " "}]}, "a content with text"),
    ],
)
def test_a_malformed_row_is_named(tmp_path, changed, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, **changed}) + "\n")
    with pytest.raises(InputError, match=message):
        count_sft_rows(path)


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        count_sft_rows(path)
