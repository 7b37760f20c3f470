"""The process in which statements run. It imports only the standard library and our own modules.

The kernel ends it when a statement uses up its processor time. It ends itself when memory runs out.
It may be killed at any moment, because it holds nothing that another process needs. It writes the
number of the statement it is running to a page shared with its parent, so that the parent knows
which statement to blame.
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

from slmsql.execution.gold_cache import GoldCache
from slmsql.execution.session import Session
from slmsql.execution.types import Limits
from slmsql.execution.wire import decode, encode, read_frame


def main(limits: Limits, cache: str, shared: int) -> None:
    """Answer the frames on standard input until it closes.

    Args:
        limits: what each statement may use.
        cache: folder of gold results; empty for none.
        shared: file descriptor of the page shared with the parent.
    """
    replies = _set_stdout_aside()
    _prepare_process(limits)
    gc.set_threshold(100_000)  # rows are many objects without cycles
    sys.setrecursionlimit(10_000)  # the search for a column order recurses once per column
    session = Session(
        limits,
        GoldCache(Path(cache), limits) if cache else None,
        mmap.mmap(shared, mmap.PAGESIZE),
    )
    requests = os.fdopen(0, "rb")
    while (body := read_frame(requests)) is not None:
        if not _write(replies, encode(session.answer(decode(body)))):
            return


def _set_stdout_aside() -> int:
    """Keep the pipe to the parent for replies alone: what a driver prints goes to stderr."""
    replies = os.dup(1)
    os.dup2(2, 1)
    return replies


def _write(replies: int, reply: bytes) -> bool:
    """Send a reply; False if the parent has closed the pipe."""
    try:
        while reply:
            reply = reply[os.write(replies, reply) :]
    except BrokenPipeError:
        return False
    return True


def _prepare_process(limits: Limits) -> None:
    os.environ["TZ"] = "UTC"  # 'localtime' is the same on every machine
    time.tzset()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
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
