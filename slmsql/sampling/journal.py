"""Output that survives a kill: each finished question is on disk at once.

During a run, finished questions are in `OUTPUT.partial`; `OUTPUT.run.json` has the settings that
determine the content. The same command resumes. Other settings are refused, and so is a second run
on the same output at the same time.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from slmsql.errors import InputError
from slmsql.files import Record, json_line, read_json_object, read_jsonl, write_jsonl


class Journal:
    """Records by question id, appended one by one and written in order at the end.

    An output is locked by its journal until the journal is closed or its process dies.

    Raises:
        InputError: another run holds the lock, the output has other settings, or an earlier record
            or the earlier settings are malformed.
    """

    def __init__(self, output: Path, settings: Mapping[str, object]) -> None:
        self.output = output
        self._partial = output.with_name(output.name + ".partial")
        self._settings_file = output.with_name(output.name + ".run.json")
        self._lock = self._locked(json.loads(json.dumps(settings)))  # as they will be read back
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
        """Whether an earlier run with these settings has finished."""
        return self.output.exists()

    def add(self, record: Record) -> None:
        """Write a record to disk."""
        if self._file is None:
            self._file = open(self._partial, "ab")  # noqa: SIM115 - kept open for the run
        self._file.write(json_line(record).encode("utf-8", "backslashreplace"))
        self._file.flush()
        self.records[str(record["id"])] = record

    def finish(self, order: Sequence[str]) -> None:
        """Write the records to the output, in the given order of ids."""
        if self._file is not None:
            os.fsync(self._file.fileno())
        write_jsonl(self.output, (self.records[identity] for identity in order))
        self._partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def _locked(self, settings: Mapping[str, object]) -> IO[str]:
        """Lock the settings file; the kernel releases the lock when this process dies."""
        if self._is_begun() and not self._settings_file.exists():
            raise InputError(f"{self.output} exists and was not written by this program")
        self._settings_file.parent.mkdir(parents=True, exist_ok=True)
        lock = open(self._settings_file, "a+", encoding="utf-8")  # noqa: SIM115 - kept open for the run
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another run is writing {self.output}; wait for it, or give another --output"
            ) from error
        if self._is_begun():
            self._check(settings)
        else:  # an earlier run, if any, recorded nothing
            lock.truncate(0)
            lock.write(json.dumps(settings, ensure_ascii=False, indent=2) + "\n")
            lock.flush()
        return lock

    def _is_begun(self) -> bool:
        has_records = self._partial.exists() and self._partial.stat().st_size > 0
        return self.output.exists() or has_records

    def _check(self, settings: Mapping[str, object]) -> None:
        before = read_json_object(self._settings_file)
        for name, value in settings.items():
            if value != before.get(name):
                raise InputError(
                    f"{self.output} was begun with {name} {before.get(name)!r}, now it is "
                    f"{value!r}; give another --output, or remove the files of the earlier run"
                )

    def _read(self) -> dict[str, Record]:
        self._cut_torn_line()
        records: dict[str, Record] = {}
        for file in (self.output, self._partial):
            for number, record in enumerate(read_jsonl(file) if file.exists() else (), start=1):
                if "id" not in record:
                    raise InputError(f"{file}, record {number}: no 'id'; it has {sorted(record)}")
                records[str(record["id"])] = record
        return records

    def _cut_torn_line(self) -> None:
        """Remove the half line that a kill during a write leaves."""
        if not self._partial.exists():
            return
        with open(self._partial, "r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
