"""Gold results on disk, shared by any number of processes without a lock.

Each process appends to a file of its own and reads those of the others. A record carries its
length and a checksum: one that is half-written, because its writer is still at it or was killed,
is not there yet. Nothing is ever changed, so the folder may be deleted at any time.
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

VERSION = 1  # of what a result means and how it is written: a change makes old files unread
RECORD = struct.Struct(">4s16s8sI")  # mark, key, checksum of the body, length of the body
MARK = b"slm1"
REFRESH = 1.0  # seconds between two looks at what the other processes have written
MAXIMUM_BODY = 16 * 2**20  # larger results are quicker to compute than to keep

Place = tuple[str, int, int]  # file, offset and length of a body


class Cache:
    """Records by key. Create it after a fork, not before."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.salt = json.dumps([VERSION, sqlite3.sqlite_version, astuple(limits)])
        self.places: dict[bytes, Place] = {}
        self.understood: dict[str, int] = {}  # bytes of each file
        self.written: int | None = None
        self.full = False
        self.looked = 0.0

    def key(self, *parts: str | None) -> bytes:
        """The name of a record: everything its content depends on."""
        text = json.dumps([self.salt, *parts])
        return hashlib.blake2b(text.encode("ascii"), digest_size=16).digest()

    def read(self, key: bytes) -> Any | None:
        """The record with this key, if one of the processes has written it whole."""
        if key not in self.places and time.monotonic() - self.looked > REFRESH:
            self._look()
        place = self.places.get(key)
        if place is None:
            return None
        try:
            with open(self.folder / place[0], "rb") as file:
                return json.loads(os.pread(file.fileno(), place[2], place[1]))
        except FileNotFoundError:  # the folder was deleted meanwhile
            del self.places[key]
            return None

    def write(self, key: bytes, record: Any) -> None:
        """Append a record, in one call, so that nobody's lies inside another's."""
        if self.full:
            return
        body = json.dumps(record, separators=(",", ":"), default=blob).encode("ascii")
        if len(body) > MAXIMUM_BODY or key in self.places:
            return
        if self.written is None:
            path = self.folder / f"{secrets.token_hex(8)}.results"
            self.written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        data = RECORD.pack(MARK, key, _checksum(body), len(body)) + body
        try:
            self.full = os.write(self.written, data) < len(data)
        except OSError:  # no space left: work goes on without keeping more
            self.full = True

    def _look(self) -> None:
        self.looked = time.monotonic()
        if not self.folder.is_dir():
            return
        for name in os.listdir(self.folder):
            if name.endswith(".results"):
                with open(self.folder / name, "rb") as file:
                    self._index(name, file.fileno())

    def _index(self, name: str, descriptor: int) -> None:
        """Understand what a file has gained; stop at the first record that is not whole."""
        start, size = self.understood.get(name, 0), os.fstat(descriptor).st_size
        while start + RECORD.size <= size:
            mark, key, checksum, length = RECORD.unpack(os.pread(descriptor, RECORD.size, start))
            body = start + RECORD.size
            if mark != MARK or body + length > size:
                break
            if _checksum(os.pread(descriptor, length, body)) != checksum:
                break
            self.places[key] = (name, body, length)
            start = body + length
        self.understood[name] = start


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8).digest()
