"""The verdicts on a step's completions: asked for once, however many rewards want them."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from slmsql.execution import Executor, Pair, Verdict
from slmsql.match import Match

MEMORY = 1000  # completions over which the share of faults is taken
LEAST_FAULTS = 10  # fewer never stop a training


class TooManyFaultsError(RuntimeError):
    """The machine, not the model, is what fails: going on would train on noise."""


class Judge:
    """Verdicts for the reward functions of one process.

    Worker processes start with the first completions. Pickling keeps the settings alone.

    Args:
        workers: processes that run SQL; by default this process's share of the cores.
        cache: folder of gold results that processes and runs share.
        fault_share: share of completions that may go unjudged because of the machine.
    """

    def __init__(
        self, *, workers: int | None = None, cache: Path | None = None, fault_share: float = 0.05
    ) -> None:
        self.workers = workers or cores_of_this_rank()
        self.cache = cache
        self.fault_share = fault_share
        self._forget()

    def start(self, pairs: Sequence[Pair], match: Match) -> "Future[list[Verdict]]":
        """Judge in the background; `verdicts` of the same pairs then waits for this."""
        known = self._step.get(match)
        if known is not None and known[0] == list(pairs):
            return known[1]
        future = self._thread().submit(self._judge, list(pairs), match)
        self._step[match] = (list(pairs), future)
        return future

    def verdicts(self, pairs: Sequence[Pair], match: Match) -> list[Verdict]:
        """One verdict for each pair; remembered until other pairs are asked for.

        Raises:
            TooManyFaultsError: more than `fault_share` of the last completions were not judged.
            FileNotFoundError: a database has gone.
        """
        return self.start(pairs, match).result()

    def close(self) -> None:
        """End thread and workers; the judge can be used again."""
        if self._threads is not None:
            self._threads.shutdown()
        if self._executor is not None:
            self._executor.close()
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "workers": self.workers,
            "cache": self.cache,
            "fault_share": self.fault_share,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _forget(self) -> None:
        self._step: dict[Match, tuple[list[Pair], Future[list[Verdict]]]] = {}
        self._executor: Executor | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._faults: deque[bool] = deque(maxlen=MEMORY)

    def _thread(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="judge")
        return self._threads

    def _judge(self, pairs: list[Pair], match: Match) -> list[Verdict]:
        if self._executor is None:
            self._executor = Executor(workers=self.workers, cache=self.cache)
        verdicts = self._executor.judge(pairs, match=match)
        self._count_faults(verdicts)
        return verdicts

    def _count_faults(self, verdicts: Sequence[Verdict]) -> None:
        self._faults.extend(verdict.correct is None for verdict in verdicts)
        count = sum(self._faults)
        if count >= LEAST_FAULTS and count > self.fault_share * len(self._faults):
            reasons = sorted({verdict.reason or "" for verdict in verdicts if verdict.reason})
            raise TooManyFaultsError(
                f"{count} of the last {len(self._faults)} completions could not be judged, more "
                f"than {self.fault_share:.0%}: {'; '.join(reasons[:3])}"
            )


def cores_of_this_rank() -> int:
    """This process's share of the processors: ranks of one machine divide them."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun and accelerate set it
    return max(1, len(os.sched_getaffinity(0)) // ranks)


SHARED = Judge()
