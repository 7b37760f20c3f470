"""Output that survives a kill: each finished question is on disk at once.

Beside `OUTPUT` stand `OUTPUT.partial` while a run goes on, and `OUTPUT.run.json` with the settings
that decide its content. The same command goes on where it was stopped; another configuration
refuses to mix with it.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from slmsql.errors import InputError
from slmsql.files import Record, json_line, read_json, read_jsonl, write_json, write_jsonl


class Journal:
    """Records by question id, appended as they come and put in order at the end."""

    def __init__(self, output: Path, settings: Mapping[str, object]) -> None:
        self.output = output
        self._partial = output.with_name(output.name + ".partial")
        self._about = output.with_name(output.name + ".run.json")
        self._check(json.loads(json.dumps(settings)))  # as it will be read back
        self.records = self._read()
        self._file: IO[bytes] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether an earlier run with these settings wrote all of it."""
        return self.output.exists()

    def add(self, record: Record) -> None:
        """Write a record so that it outlives this process."""
        if self._file is None:
            self._file = open(self._partial, "ab")  # noqa: SIM115 - kept open for the run
        self._file.write(json_line(record).encode("utf-8", "backslashreplace"))
        self._file.flush()
        self.records[str(record["id"])] = record

    def finish(self, order: Sequence[str]) -> None:
        """Put the records in the order of their questions under the final name."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
        write_jsonl(self.output, (self.records[identity] for identity in order))
        self._partial.unlink(missing_ok=True)

    def _check(self, settings: Mapping[str, object]) -> None:
        if not self._about.exists():
            if self.output.exists():
                raise InputError(f"{self.output} is there already and not from this program")
            write_json(self._about, settings)
            return
        before = read_json(self._about)
        if changed := [n for n in settings if settings[n] != before.get(n)]:
            old, new = before.get(changed[0]), settings[changed[0]]
            raise InputError(
                f"{self.output} was begun with {changed[0]} {old!r}, now it is {new!r}; give "
                f"another --output, or remove {self._about.name} and what it describes"
            )

    def _read(self) -> dict[str, Record]:
        if self.output.exists():
            return {str(record["id"]): record for record in read_jsonl(self.output)}
        if not self._partial.exists():
            return {}
        self._cut_torn_line()
        return {str(record["id"]): record for record in read_jsonl(self._partial)}

    def _cut_torn_line(self) -> None:
        """A kill in the middle of a write leaves half a line."""
        with open(self._partial, "r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
