"""End a program of several processes that communicate over gloo, PyTorch's library for CPUs.

After an operation a thread of gloo releases its tensors and takes Python's lock to do so. If Python
is shutting down by then, it ends the thread, and C++ aborts the process: "terminate called without
an active exception", exit status -6, although everything was saved. Destroying the process group
waits for the thread only if nothing refers to the group any more, and DeepSpeed's parameters do.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator

THREAD_NAME = "pt_gloo_runloop"
LOOKS = 3  # must find all threads asleep: a thread may also sleep while it waits for Python's lock
PAUSE = 0.01  # seconds between looks, enough for a waiting thread to take the lock


def end_together(accelerator: "Accelerator") -> None:
    """End a training on all processes. No operation between them may follow."""
    accelerator.wait_for_everyone()
    accelerator.end_training()
    wait_for_gloo()


def wait_for_gloo(timeout: float = 60.0) -> None:
    """Wait until gloo's threads are asleep. No operation may follow.

    Args:
        timeout: seconds after which to return in any case.
    """
    end = time.monotonic() + timeout
    looks = 0
    while looks < LOOKS and time.monotonic() < end:
        states = [state for name, state in _threads() if name == THREAD_NAME]
        if not states:
            return
        looks = looks + 1 if set(states) == {"S"} else 0
        time.sleep(PAUSE)


def _threads() -> list[tuple[str, str]]:
    """Name and state (R runs, S sleeps) of each thread of this process, from Linux's /proc."""
    threads = []
    for folder in Path("/proc/self/task").glob("*"):
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(") ")
        except OSError:  # the thread has ended meanwhile
            continue
        threads.append((head.partition("(")[2], tail[0]))
    return threads
