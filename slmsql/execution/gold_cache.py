"""Gold results on disk. Any number of processes share them without a lock.

Each process appends to a file of its own and reads the files of the others. A record carries its
length and a checksum, so a half-written record (its writer is busy or was killed) is ignored.
Records never change, and the folder may be deleted at any time.
"""

import hashlib
import json
import os
import secrets
import sqlite3
import struct
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any

from slmsql.execution.types import Limits
from slmsql.execution.wire import blob

VERSION = 1  # of the meaning and format of a record; records of other versions are ignored
RECORD = struct.Struct(">4s16s8sI")  # mark, key, checksum of the body, length of the body
MARK = b"slm1"
REFRESH = 1.0  # seconds between two searches for new records of other processes
MAXIMUM_BODY = 16 * 2**20  # bytes; larger results are quicker to compute than to read

Location = tuple[str, int, int]  # file name, offset and length of a body


class GoldCache:
    """Records by key. After a fork, create a new one in the child."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.salt = json.dumps([VERSION, sqlite3.sqlite_version, astuple(limits)])
        self.locations: dict[bytes, Location] = {}
        self.indexed: dict[str, int] = {}  # bytes of each file that are in `locations`
        self.output: int | None = None  # descriptor of the file that this process appends to
        self.full = False
        self.refreshed = 0.0

    def key(self, *parts: str | None) -> bytes:
        """The key of a record: a hash of all that its content depends on."""
        text = json.dumps([self.salt, *parts])
        return hashlib.blake2b(text.encode("ascii"), digest_size=16).digest()

    def read(self, key: bytes) -> Any | None:
        """The record with this key, or None if no process has written all of it yet."""
        if key not in self.locations and time.monotonic() - self.refreshed > REFRESH:
            self._refresh()
        if key not in self.locations:
            return None
        name, offset, length = self.locations[key]
        try:
            with open(self.folder / name, "rb") as file:
                return json.loads(os.pread(file.fileno(), length, offset))
        except FileNotFoundError:  # the folder was deleted meanwhile
            del self.locations[key]
            return None

    def write(self, key: bytes, record: Any) -> None:
        """Append a record with a single system call, so that records never mix."""
        if self.full:
            return
        body = json.dumps(record, separators=(",", ":"), default=blob).encode("ascii")
        if len(body) > MAXIMUM_BODY or key in self.locations:
            return
        if self.output is None:
            path = self.folder / f"{secrets.token_hex(8)}.results"
            self.output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        data = RECORD.pack(MARK, key, _checksum(body), len(body)) + body
        try:
            self.full = os.write(self.output, data) < len(data)
        except OSError:  # no space left: go on without writing
            self.full = True

    def _refresh(self) -> None:
        self.refreshed = time.monotonic()
        if not self.folder.is_dir():
            return
        for name in os.listdir(self.folder):
            if name.endswith(".results"):
                with open(self.folder / name, "rb") as file:
                    self._index(name, file.fileno())

    def _index(self, name: str, descriptor: int) -> None:
        """Read the new records of a file; stop at the first one that is not complete."""
        start, size = self.indexed.get(name, 0), os.fstat(descriptor).st_size
        while start + RECORD.size <= size:
            mark, key, checksum, length = RECORD.unpack(os.pread(descriptor, RECORD.size, start))
            body = start + RECORD.size
            if mark != MARK or body + length > size:
                break
            if _checksum(os.pread(descriptor, length, body)) != checksum:
                break
            self.locations[key] = (name, body, length)
            start = body + length
        self.indexed[name] = start


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8).digest()
