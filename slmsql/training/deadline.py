"""A time limit for calls that Python cannot interrupt."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deadline(seconds: float, message: str) -> Iterator[None]:
    """End the process with one line and code 2 if the block takes longer than `seconds`.

    A call that hangs in NCCL or CUDA never returns to Python, so neither an exception nor a signal
    handler would end it. The launcher ends the other processes of a run when one of them ends.
    """
    timer = threading.Timer(seconds, _end_process, [message])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end_process(message: str) -> None:
    print("error:", message, file=sys.stderr, flush=True)
    os._exit(2)
