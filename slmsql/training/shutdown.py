"""The end of a program of several processes over gloo, PyTorch's way between CPUs.

After an operation, a thread of gloo's lets go of its tensors, for which it takes Python's lock. A
Python that is ending ends the thread instead, and C++ ends the process: "terminate called without
an active exception", exit status -6, after everything was saved. Destroying a process group waits
for its threads only where nobody refers to the group any more; DeepSpeed's parameters always do.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator

NAME = "pt_gloo_runloop"
LOOKS = 3  # that find all threads at rest: one may wait for Python's lock for a moment
PAUSE = 0.01  # seconds between looks; long enough for a waiting thread to take the lock


def end_together(accelerator: "Accelerator") -> None:
    """The last thing that all processes of a training do: no operation may follow."""
    accelerator.wait_for_everyone()
    accelerator.end_training()
    wait_for_gloo()


def wait_for_gloo(timeout: float = 60.0) -> None:
    """Return when gloo's threads are at rest; call it when no operation is to follow.

    Args:
        timeout: seconds after which it returns in any case.
    """
    end = time.monotonic() + timeout
    looks = 0
    while looks < LOOKS and time.monotonic() < end:
        states = [state for name, state in _threads() if name == NAME]
        if not states:
            return
        looks = looks + 1 if set(states) == {"S"} else 0
        time.sleep(PAUSE)


def _threads() -> list[tuple[str, str]]:
    """Name and state of each thread of this process, as Linux tells them: R runs, S sleeps."""
    found = []
    for folder in Path("/proc/self/task").glob("*"):
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(") ")
        except OSError:  # it has ended meanwhile
            continue
        found.append((head.partition("(")[2], tail[0]))
    return found
