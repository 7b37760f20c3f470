"""One worker process as its parent sees it: ask, get an answer or learn how it died."""

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

from slmsql.execution.types import Limits
from slmsql.execution.wire import HEADER, encode

ROOT = Path(__file__).parents[2]  # the folder of the package `slmsql`
# Isolated and without site-packages: starts in a third of the time, and no file that lies in the
# user's folder or environment is imported instead of ours.
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); import runpy; " + (
    "runpy.run_module('slmsql.execution.worker', run_name='__main__')"
)
POSITION = struct.Struct("<I")
# Seconds by the clock for each of `Limits.seconds`, and at least. Processor time bounds statements
# under any load; this is for a worker that gets none: a stopped process, a file system that hangs.
WALL, WALL_AT_LEAST = 20, 120


INFRASTRUCTURE = "infrastructure"  # `Execution.kind`: it says nothing about the statement
NOWHERE = 0xFFFFFFFF  # the worker is not at a statement


class Died(Exception):
    """The worker is gone. `position` is the statement it was at."""

    def __init__(self, position: int, code: int, *, stuck: bool) -> None:
        super().__init__(f"worker ended with code {code} at statement {position}")
        self.position = position
        self.out_of_time = code == -signal.SIGPROF
        outside = stuck or code in (-signal.SIGKILL, -signal.SIGTERM)
        self.kind = INFRASTRUCTURE if outside else "crash"


class Process:
    """A worker that is started when first asked and started anew after it died."""

    def __init__(self, limits: Limits, cache: Path | None) -> None:
        self.limits = limits
        self.cache = cache
        self.popen: subprocess.Popen[bytes] | None = None
        self.page: mmap.mmap | None = None
        self.used = False

    def ask(self, request: bytes) -> bytes:
        """Send a frame and wait for the answer; raises `Died`."""
        process = self._started()
        self.used = True
        self._blame_nothing()
        try:
            _send(process.stdin, request)
            return self._receive(process)
        except (BrokenPipeError, EOFError):
            raise self._death(stuck=False) from None

    def refresh(self) -> None:
        """Make sure the next statement is the first one of its process."""
        if self.used:
            self.close()

    def kill(self) -> None:
        """From another thread: end the process; the one that waits for it gets `Died`."""
        popen = self.popen
        if popen is not None:
            popen.kill()

    def close(self) -> None:
        """End the process, whatever it does."""
        if self.popen is not None:
            self.popen.kill()
            self._reap()

    def forsake(self) -> None:
        """Close our ends of the pipes only: the process belongs to somebody else."""
        if self.popen is not None:
            for pipe in (self.popen.stdin, self.popen.stdout):
                if pipe is not None:
                    pipe.close()
            self.popen.returncode = 0  # nothing to wait for

    def _reap(self) -> int:
        assert self.popen is not None
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                pipe.close()
        code = self.popen.wait()
        if self.page is not None:
            self.page.close()
        self.popen = self.page = None
        return code

    def _started(self) -> subprocess.Popen[bytes]:
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
        """Wait for something to read; a worker that stands still for very long is killed."""
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        position, since = self._position(), time.monotonic()
        while not poll.poll(1000):
            if (now_at := self._position()) != position:
                position, since = now_at, time.monotonic()
            elif time.monotonic() - since > max(WALL_AT_LEAST, WALL * self.limits.seconds):
                raise self._death(stuck=True)

    def _blame_nothing(self) -> None:
        assert self.page is not None
        POSITION.pack_into(self.page, 0, NOWHERE)

    def _position(self) -> int:
        assert self.page is not None
        position: int = POSITION.unpack_from(self.page, 0)[0]
        return position

    def _death(self, *, stuck: bool) -> Died:
        assert self.popen is not None
        position = self._position()
        if stuck:
            self.popen.kill()
        return Died(position, self._reap(), stuck=stuck)


def _send(pipe: IO[bytes] | None, data: bytes) -> None:
    assert pipe is not None
    view = memoryview(data)
    while view:
        view = view[os.write(pipe.fileno(), view) :]
