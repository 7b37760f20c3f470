"""Training rows: JSON Lines with a chat prompt and the completion that the model is taught.

{"prompt": [{"role": "user", "content": ...}], "completion": [{"role": "assistant", ...}], ...}
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.files import Record, read_jsonl


def read_rows(path: Path) -> Iterator[Record]:
    """Yield `prompt` (messages) and `completion` (text) of each row; other keys are left out.

    Raises:
        InputError: a row is malformed, or there is none; the message has file and row.
    """
    number = 0
    for number, record in enumerate(read_jsonl(path), start=1):
        position = f"{path}, row {number}"
        prompt = _messages(record.get("prompt"), f"{position}: prompt")
        completion = _messages(record.get("completion"), f"{position}: completion")
        if [message["role"] for message in completion] != ["assistant"]:
            raise InputError(f"{position}: completion must be one message of the assistant")
        yield {"prompt": prompt, "completion": completion[0]["content"]}
    if not number:
        raise InputError(f"{path} is empty; scripts/prepare_synsql.py and its neighbours make rows")


def count_rows(path: Path) -> int:
    """Check every row of a file and count them, before anything heavy is loaded."""
    return sum(1 for _ in read_rows(path))


def _messages(value: Any, position: str) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise InputError(f"{position} must be a list of messages, got {value!r:.60}")
    return [_message(message, position) for message in value]


def _message(message: Any, position: str) -> dict[str, str]:
    match message:
        case {"role": str(role), "content": str(content)} if content.strip():
            return {"role": role, "content": content}
    raise InputError(f"{position}: expected a role and a content with text, got {message!r:.60}")
