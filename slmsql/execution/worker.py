"""The process in which statements run. Standard library only; knows nothing of who asks.

It is ended by the kernel when a statement uses up its processor time, ends itself when memory
runs out, and may be killed at any moment: it holds nothing that somebody else needs. Where it was
stands in a shared page, so that its parent knows which statement to blame.
"""

import gc
import mmap
import os
import resource
import signal
import sqlite3
import sys
import time
from pathlib import Path

from slmsql.execution.cache import Cache
from slmsql.execution.session import Session
from slmsql.execution.types import Limits
from slmsql.execution.wire import decode, encode, read_frame


def main(limits: Limits, cache: str, shared: int) -> None:
    """Answer frames on standard input until it ends."""
    _become_a_worker(limits)
    gc.set_threshold(100_000)  # rows are many objects and no cycles
    sys.setrecursionlimit(10_000)  # the search for a column order goes one deeper per column
    session = Session(
        limits,
        Cache(Path(cache), limits) if cache else None,
        mmap.mmap(shared, mmap.PAGESIZE),
    )
    requests = os.fdopen(0, "rb")
    while (body := read_frame(requests)) is not None:
        if not _write(encode(session.answer(decode(body)))):
            return


def _write(reply: bytes) -> bool:
    """Send a reply; False when nobody is there to read it."""
    try:
        while reply:
            reply = reply[os.write(1, reply) :]
    except BrokenPipeError:
        return False
    return True


def _become_a_worker(limits: Limits) -> None:
    os.environ["TZ"] = "UTC"  # 'localtime' gives the same on every machine
    time.tzset()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = sqlite3.connect(":memory:")
    connection.execute(f"PRAGMA hard_heap_limit = {limits.memory}")  # of the whole process
    connection.close()
    space = 4 * limits.memory
    resource.setrlimit(resource.RLIMIT_AS, (space, space))


if __name__ == "__main__":
    main(Limits(**decode(sys.argv[1].encode())), sys.argv[2], int(sys.argv[3]))
