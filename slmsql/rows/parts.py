"""Long work done in parts by several processes, so that a kill in the middle loses nothing.

Each part's rows and its tally are files in `OUTPUT.parts/`; the next call takes what is there and
does the rest. Parts are cut by position in the input, so the rows are the same, byte for byte,
whatever the number of processes and however often the work was interrupted.
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
AHEAD = 2  # parts waiting for each process: enough to keep it busy, few enough to hold in memory


class Parts:
    """The folder of parts of one output."""

    def __init__(self, output: Path, settings: Record) -> None:
        """
        Args:
            settings: everything that decides the rows; parts made with others are refused.

        Raises:
            InputError: there are parts of a run with other settings.
        """
        self.output = output
        self.folder = output.with_name(f"{output.name}.parts")
        self.count = 0
        self._claim(settings)

    def build(
        self,
        chunks: Iterable[Chunk],
        build: Build[Chunk],
        workers: int,
        report: Callable[[Tally], None] = lambda tally: None,
    ) -> Tally:
        """Build what is not there yet; returns the tally of all parts.

        Args:
            chunks: the input in the same order and sizes on each call.
            build: makes the rows of one chunk; it must be picklable.
            report: called after each part with the tally so far, to show progress.
        """
        total = Tally()
        self.count = 0
        for tally in self._done(chunks, build, workers):
            self.count += 1
            total.merge(tally)
            report(total)
        return total

    def join(self) -> None:
        """Write the output from the parts and remove them."""
        with replacing(self.output) as file:
            for number in range(self.count):
                with open(self._rows(number), encoding="utf-8") as part:
                    shutil.copyfileobj(part, file)
        shutil.rmtree(self.folder)

    def _done(self, chunks: Iterable[Chunk], build: Build[Chunk], workers: int) -> Iterator[Tally]:
        waiting: list[tuple[int, Future[None] | None]] = []
        with _processes(workers) as pool:
            for number, chunk in enumerate(chunks):
                is_done = self._tally(number).is_file()
                future = None if is_done else pool.submit(_write, self, number, build, chunk)
                waiting.append((number, future))
                if len(waiting) > AHEAD * workers:
                    yield self._finished(*waiting.pop(0))
            for number, future in waiting:
                yield self._finished(number, future)

    def _finished(self, number: int, future: Future[None] | None) -> Tally:
        if future is not None:
            future.result()
        return Tally.from_record(read_json(self._tally(number)))

    def _claim(self, settings: Record) -> None:
        claim = self.folder / "settings.json"
        if claim.is_file() and read_json(claim) != settings:
            raise InputError(
                f"{self.folder} has parts of a run with other settings or input; finish that run, "
                "remove the folder, or choose another --output"
            )
        write_json(claim, settings)

    def _rows(self, number: int) -> Path:
        return self.folder / f"{number:06d}.jsonl"

    def _tally(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"


def _write(parts: Parts, number: int, build: Build[Chunk], chunk: Chunk) -> None:
    rows, tally = build(chunk)
    with replacing(parts._rows(number)) as file:
        file.writelines(map(json_line, rows))
    write_json(parts._tally(number), tally.as_record())  # last: it says that the part is whole


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that end with their parent, also when that is killed."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
