"""Where the time of a training step goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

PARTS = ("rollout", "logprobs", "reward", "update", "sync", "validation", "idle")


class StepClock:
    """Charges every second to one part of a step, so that the parts add up to the whole.

    A part within another one pauses it: the sync of the weights does not count as rollout. What no
    part accounts for is idle, such as waiting for data or saving a checkpoint.
    """

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._open = ["idle"]
        self._since = _now()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Charge the block's time to the part."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def update(self) -> None:
        """From here until the end of the step, time outside other parts belongs to the update."""
        if self._open[0] != "update":
            self._charge()
            self._open[0] = "update"

    def end_step(self) -> dict[str, float]:
        """Seconds of each part since the last call; the next step begins."""
        self._charge()
        self._open[0] = "idle"
        seconds, self._seconds = self._seconds, dict.fromkeys(PARTS, 0.0)
        return seconds

    def _charge(self) -> None:
        now = _now()
        self._seconds[self._open[-1]] += now - self._since
        self._since = now


def _now() -> float:
    """Seconds, once the GPU has done what it was given."""
    import torch  # late, since PARTS is also read by programs that have not parsed their options

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
