"""Long work in resumable parts, done by several processes.

    parts = Parts(output, settings)
    tally = parts.build(chunks, build, workers=8)
    parts.join()

`OUTPUT.parts/` has two files for each part: its rows and its tally. A run that was killed is
resumed: parts on disk are not built again. Parts are cut by position in the input, so the rows are
byte for byte the same for any number of processes and any number of interruptions.
"""

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from slmsql.errors import InputError
from slmsql.files import Record, json_line, read_json, replacing, write_json
from slmsql.rows.data_card import Tally

Chunk = TypeVar("Chunk")
Build = Callable[[Chunk], tuple[list[Record], Tally]]
QUEUED = 2  # parts queued for each process: enough to keep it busy, few enough for memory


class Parts:
    """The parts of one output file."""

    def __init__(self, output: Path, settings: Record) -> None:
        """
        Args:
            output: the file that `join` writes.
            settings: everything that decides the rows.

        Raises:
            InputError: the folder has parts of a run with other settings.
        """
        self.output = output
        self.folder = output.with_name(f"{output.name}.parts")
        self.count = 0
        self._check_settings(settings)

    def build(
        self,
        chunks: Iterable[Chunk],
        build: Build[Chunk],
        workers: int,
        report: Callable[[Tally], None] = lambda tally: None,
    ) -> Tally:
        """Build the parts that are missing and return the tally of all parts.

        Args:
            chunks: the input, cut in the same way on every run.
            build: makes the rows of one chunk; it must be picklable.
            workers: number of processes.
            report: called after each part with the tally so far, to show progress.
        """
        total = Tally()
        self.count = 0
        for tally in self._tallies(chunks, build, workers):
            self.count += 1
            total.merge(tally)
            report(total)
        return total

    def join(self) -> None:
        """Join the parts into the output file and remove them."""
        with replacing(self.output) as file:
            for number in range(self.count):
                with open(self._rows_file(number), encoding="utf-8") as part:
                    shutil.copyfileobj(part, file)
        shutil.rmtree(self.folder)

    def _tallies(
        self, chunks: Iterable[Chunk], build: Build[Chunk], workers: int
    ) -> Iterator[Tally]:
        """Yield the tally of each part, in order."""
        queue: list[tuple[int, Future[None] | None]] = []
        with _process_pool(workers) as pool:
            for number, chunk in enumerate(chunks):
                is_done = self._tally_file(number).is_file()
                future = None if is_done else pool.submit(_write_part, self, number, build, chunk)
                queue.append((number, future))
                if len(queue) > QUEUED * workers:
                    yield self._tally_of(*queue.pop(0))
            for number, future in queue:
                yield self._tally_of(number, future)

    def _tally_of(self, number: int, future: Future[None] | None) -> Tally:
        if future is not None:
            future.result()
        file = self._tally_file(number)
        try:
            return Tally.from_record(read_json(file))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{file}: not the tally of a part; remove it ({error})") from error

    def _check_settings(self, settings: Record) -> None:
        file = self.folder / "settings.json"
        if file.is_file() and read_json(file) != settings:
            raise InputError(
                f"{self.folder} has parts of a run with other settings or input; finish that run, "
                "remove the folder, or choose another --output"
            )
        write_json(file, settings)

    def _rows_file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.jsonl"

    def _tally_file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"


def _write_part(parts: Parts, number: int, build: Build[Chunk], chunk: Chunk) -> None:
    rows, tally = build(chunk)
    with replacing(parts._rows_file(number)) as file:
        file.writelines(map(json_line, rows))
    write_json(parts._tally_file(number), tally.as_record())  # last: it marks the part as done


@contextmanager
def _process_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool whose processes end with their parent, even if the parent is killed."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
