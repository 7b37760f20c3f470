"""JSON and JSON Lines between programs: errors have a position, writes are atomic."""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from slmsql.errors import InputError

Record = dict[str, Any]


def cache_folder(kind: str) -> Path:
    """The folder for files of a kind that can be made again: in $SLMSQL_CACHE, else in the user's
    cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("SLMSQL_CACHE") or f"{home}/slmsql") / kind


def read_jsonl(path: Path) -> Iterator[Record]:
    """Yield the objects of a JSON Lines file; blank lines are skipped.

    Raises:
        InputError: a line is not UTF-8, not JSON or not an object, or an object has a key twice;
            the message names file and line.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _record(line, f"{path}:{number}")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is not UTF-8 or not JSON, or an object has a key twice.
    """
    try:
        return _parsed(path.read_bytes().decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}:{error.colno}: not JSON ({error.msg}); is the file complete?"
        ) from error


def read_json_object(path: Path) -> Record:
    """Read a JSON file that holds one object.

    Raises:
        InputError: it does not, or `read_json` cannot read the file.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


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
        record = _parsed(line.decode("utf-8-sig").strip(), position)
    except UnicodeDecodeError as error:
        raise InputError(f"{position}: not UTF-8 at byte {error.start} of the line") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{position}: not JSON ({error.msg} at column {error.colno})") from error
    if not isinstance(record, dict):
        raise InputError(f"{position}: expected a JSON object, got {type(record).__name__}")
    return record


def _parsed(text: str, position: str) -> Any:
    """Parse JSON.

    Raises:
        InputError: it cannot be used although it may be JSON.
        json.JSONDecodeError: it is not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise InputError(f"{position}: the JSON is nested too deeply") from error
    except InputError as error:
        raise InputError(f"{position}: {error}") from error
    except ValueError as error:
        raise InputError(f"{position}: a number in the JSON has too many digits") from error


def _object(pairs: list[tuple[str, Any]]) -> Record:
    record = dict(pairs)
    if len(record) < len(pairs):
        doubled = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise InputError(f"an object has the key {doubled!r:.80} twice")
    return record
