"""What parent and worker say to each other: frames of JSON, four bytes of length before each."""

import json
import struct
from typing import IO, Any

HEADER = struct.Struct(">I")
EXIT_FRESH = 75  # a worker's exit code: run this again in a new process, memory ran out

# Values JSON does not have: a blob is {"b": hex}; infinities are written as Python writes them.
Message = Any


def encode(message: Message) -> bytes:
    """One frame."""
    body = json.dumps(message, separators=(",", ":"), default=blob).encode("ascii")
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """The message of a frame without its length."""
    return json.loads(body)


def read_frame(file: IO[bytes]) -> bytes | None:
    """The body of the next frame; None at the end, also in the middle of a frame."""
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    size: int = HEADER.unpack(header)[0]
    body = file.read(size)
    return body if len(body) == size else None


def as_rows(rows: list[list[Any]]) -> list[tuple[Any, ...]]:
    """Rows as they were before `encode`."""
    return [tuple(bytes.fromhex(v["b"]) if type(v) is dict else v for v in row) for row in rows]


def blob(value: bytes) -> dict[str, str]:
    """A blob as JSON can hold it."""
    return {"b": value.hex()}
