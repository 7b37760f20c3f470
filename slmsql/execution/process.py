"""A worker process as its parent sees it: send a request, get the answer or learn how it died."""

import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO

from slmsql.execution.types import INFRASTRUCTURE, Limits
from slmsql.execution.wire import HEADER, encode

ROOT = Path(__file__).parents[2]  # the folder of the package `slmsql`
# The worker runs isolated and without site-packages (-I -S): it starts in a third of the time, and
# no file in the user's folder or environment is imported instead of ours.
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); import runpy; " + (
    "runpy.run_module('slmsql.execution.worker', run_name='__main__')"
)
POSITION = struct.Struct("<I")
# Processor time limits a statement under any load. A worker that gets none (a stopped process, a
# file system that hangs) is given up after WALL times `Limits.seconds` by the clock, but not before
# WALL_AT_LEAST seconds.
WALL, WALL_AT_LEAST = 20, 120

NO_STATEMENT = 0xFFFFFFFF  # the position of a worker that is not running a statement


class WorkerDeath(Exception):
    """The worker process ended. `position` is the statement that it was running."""

    def __init__(self, position: int, code: int, *, stuck: bool) -> None:
        super().__init__(f"worker ended with code {code} at statement {position}")
        self.position = position
        self.out_of_time = code == -signal.SIGPROF
        killed = stuck or code in (-signal.SIGKILL, -signal.SIGTERM)
        self.kind = INFRASTRUCTURE if killed else "crash"


class WorkerProcess:
    """A worker that starts with its first request, and starts again after it died."""

    def __init__(self, limits: Limits, cache: Path | None) -> None:
        self.limits = limits
        self.cache = cache
        self.popen: subprocess.Popen[bytes] | None = None
        self.page: mmap.mmap | None = None
        self.used = False

    def ask(self, request: bytes) -> bytes:
        """Send a frame and wait for the answer.

        Raises:
            WorkerDeath: the worker ended before it answered.
        """
        process = self._running()
        self.used = True
        assert self.page is not None
        POSITION.pack_into(self.page, 0, NO_STATEMENT)
        try:
            _send(process.stdin, request)
            return self._receive(process)
        except (BrokenPipeError, EOFError):
            raise self._death(stuck=False) from None

    def refresh(self) -> None:
        """Make sure that the next statement is the first one of its process."""
        if self.used:
            self.close()

    def kill(self) -> None:
        """End the process from another thread; the thread that waits for it gets `WorkerDeath`."""
        popen = self.popen  # the other thread may set it to None meanwhile
        if popen is not None:
            popen.kill()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self.popen is not None:
            self.popen.kill()
            self._reap()

    def forsake(self) -> None:
        """Close our ends of the pipes only: the process belongs to the parent."""
        if self.popen is not None:
            _close_pipes(self.popen)
            self.popen.returncode = 0  # nothing to wait for

    def _reap(self) -> int:
        assert self.popen is not None
        _close_pipes(self.popen)
        code = self.popen.wait()
        if self.page is not None:
            self.page.close()
        self.popen = self.page = None
        return code

    def _running(self) -> subprocess.Popen[bytes]:
        if self.popen is not None:
            return self.popen
        with tempfile.TemporaryFile() as shared:
            shared.truncate(mmap.PAGESIZE)
            self.page = mmap.mmap(shared.fileno(), mmap.PAGESIZE)
            arguments = [
                encode(asdict(self.limits))[HEADER.size :].decode(),
                str(self.cache.absolute()) if self.cache else "",
                str(shared.fileno()),
            ]
            self.popen = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", START, str(ROOT), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(shared.fileno(),),
                bufsize=0,
            )
        self.used = False
        return self.popen

    def _receive(self, process: subprocess.Popen[bytes]) -> bytes:
        size: int = HEADER.unpack(self._read(process.stdout, HEADER.size))[0]
        return self._read(process.stdout, size)

    def _read(self, pipe: IO[bytes] | None, size: int) -> bytes:
        assert pipe is not None
        parts: list[bytes] = []
        while size:
            self._await(pipe)
            part = os.read(pipe.fileno(), min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _await(self, pipe: IO[bytes]) -> None:
        """Wait for something to read. A worker that makes no progress for very long is killed."""
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        position, since = self._position(), time.monotonic()
        while not poll.poll(1000):
            if (new_position := self._position()) != position:
                position, since = new_position, time.monotonic()
            elif time.monotonic() - since > max(WALL_AT_LEAST, WALL * self.limits.seconds):
                raise self._death(stuck=True)

    def _position(self) -> int:
        assert self.page is not None
        position: int = POSITION.unpack_from(self.page, 0)[0]
        return position

    def _death(self, *, stuck: bool) -> WorkerDeath:
        assert self.popen is not None
        position = self._position()
        if stuck:
            self.popen.kill()
        return WorkerDeath(position, self._reap(), stuck=stuck)


def _close_pipes(popen: subprocess.Popen[bytes]) -> None:
    for pipe in (popen.stdin, popen.stdout):
        if pipe is not None:
            pipe.close()


def _send(pipe: IO[bytes] | None, data: bytes) -> None:
    assert pipe is not None
    view = memoryview(data)
    while view:
        view = view[os.write(pipe.fileno(), view) :]
