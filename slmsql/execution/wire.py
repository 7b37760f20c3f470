"""Messages between parent and worker: frames of JSON, each after its length in four bytes."""

import json
import struct
from typing import IO, Any

HEADER = struct.Struct(">I")
EXIT_FRESH = 75  # a worker's exit code if memory ran out: run the statement in a new process

# JSON, with two additions: a blob is {"b": hex}, and infinities are written as Python writes them.
Message = Any


def encode(message: Message) -> bytes:
    """The frame of a message."""
    body = json.dumps(message, separators=(",", ":"), default=blob).encode("ascii")
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """The message of a frame without its length."""
    return json.loads(body)


def read_frame(file: IO[bytes]) -> bytes | None:
    """The body of the next frame; None if the file ends before the frame does."""
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    size: int = HEADER.unpack(header)[0]
    body = file.read(size)
    return body if len(body) == size else None


def as_rows(rows: list[list[Any]]) -> list[tuple[Any, ...]]:
    """Decoded rows as they were before `encode`: tuples, with blobs as bytes."""
    return [tuple(bytes.fromhex(v["b"]) if type(v) is dict else v for v in row) for row in rows]


def blob(value: bytes) -> dict[str, str]:
    """A blob in a form that JSON has."""
    return {"b": value.hex()}
