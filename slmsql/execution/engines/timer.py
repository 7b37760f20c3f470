"""The worker's timer, which ends the process when a statement has used up its processor time."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncounted() -> Iterator[None]:
    """Stop the timer for what is not the statement's doing: importing a driver, connecting.

    Otherwise a statement that waits for a server that is not there gets a verdict, "timeout".
    """
    remaining, _ = signal.setitimer(signal.ITIMER_PROF, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, remaining)
