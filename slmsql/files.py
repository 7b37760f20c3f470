"""JSON and JSON Lines between programs: errors have a position, writes are atomic."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from slmsql.errors import InputError

Record = dict[str, Any]


def read_jsonl(path: Path) -> Iterator[Record]:
    """Yield the objects of a JSON Lines file; blank lines are skipped.

    Raises:
        InputError: a line is not UTF-8, not JSON or not an object; the message names file and line.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _record(line, f"{path}:{number}")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is not UTF-8 or not JSON; the message has the position.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}:{error.colno}: not JSON ({error.msg}); is the file complete?"
        ) from error


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write records as JSON Lines, atomically. Returns the number of records."""
    count = 0
    with replacing(path) as file:
        for record in records:
            file.write(json_line(record))
            count += 1
    return count


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    with replacing(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as file:
        file.write(text)


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """Open a temporary file that replaces `path` once the `with` block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        # A model can emit a lone surrogate, which UTF-8 cannot encode: escape it.
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide the file from others
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def json_line(record: Mapping[str, Any]) -> str:
    """A record as one line of JSON Lines, keys in the order given."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def file_hash(path: Path) -> str:
    """The first 16 hex digits of a file's SHA-256: enough to tell releases of data apart."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _record(line: bytes, position: str) -> Record:
    try:
        record = json.loads(line.decode("utf-8-sig").strip())
    except UnicodeDecodeError as error:
        raise InputError(f"{position}: not UTF-8 at byte {error.start} of the line") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{position}: not JSON ({error.msg} at column {error.colno})") from error
    if not isinstance(record, dict):
        raise InputError(f"{position}: expected a JSON object, got {type(record).__name__}")
    return record
