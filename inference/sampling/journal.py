"""Output that survives a kill: each finished question is on disk at once.

Beside `OUTPUT` stand `OUTPUT.partial` while a run goes on, and `OUTPUT.run.json` with the settings
that decide its content. The same command goes on where it was stopped; another configuration
refuses to mix with it, and so does a second run at the same time.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from slmsql.errors import InputError
from slmsql.files import Record, json_line, read_json, read_jsonl, write_jsonl


class Journal:
    """Records by question id, appended as they come and put in order at the end.

    The output belongs to one journal until that is closed, or its process dies.
    """

    def __init__(self, output: Path, settings: Mapping[str, object]) -> None:
        self.output = output
        self._partial = output.with_name(output.name + ".partial")
        self._about = output.with_name(output.name + ".run.json")
        self._claim = self._claimed(json.loads(json.dumps(settings)))  # as it will be read back
        self.records = self._read()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

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
        write_jsonl(self.output, (self.records[identity] for identity in order))
        self._partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the output to other runs."""
        if self._file is not None:
            self._file.close()
        self._claim.close()

    def _claimed(self, settings: Mapping[str, object]) -> IO[str]:
        """The file of the settings, locked: the kernel lets go of it when this process dies."""
        if self._is_begun() and not self._about.exists():
            raise InputError(f"{self.output} is there already, and not from this program")
        self._about.parent.mkdir(parents=True, exist_ok=True)
        claim = open(self._about, "a+", encoding="utf-8")  # noqa: SIM115 - kept open for the run
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another run is writing {self.output}; wait for it, or give another --output"
            ) from error
        if self._is_begun():
            self._check(settings)
        else:  # whatever an earlier run intended, it got nowhere
            claim.truncate(0)
            claim.write(json.dumps(settings, ensure_ascii=False, indent=2) + "\n")
            claim.flush()
        return claim

    def _is_begun(self) -> bool:
        is_sampled = self._partial.exists() and self._partial.stat().st_size > 0
        return self.output.exists() or is_sampled

    def _check(self, settings: Mapping[str, object]) -> None:
        before = read_json(self._about)
        if changed := [n for n in settings if settings[n] != before.get(n)]:
            old, new = before.get(changed[0]), settings[changed[0]]
            raise InputError(
                f"{self.output} was begun with {changed[0]} {old!r}, now it is {new!r}; give "
                f"another --output, or remove {self._about.name} and what it describes"
            )

    def _read(self) -> dict[str, Record]:
        self._cut_torn_line()
        files = [file for file in (self.output, self._partial) if file.exists()]
        return {str(record["id"]): record for file in files for record in read_jsonl(file)}

    def _cut_torn_line(self) -> None:
        """A kill in the middle of a write leaves half a line."""
        if not self._partial.exists():
            return
        with open(self._partial, "r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
