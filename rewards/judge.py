"""The judge behind the rewards: each step's completions run once, however many rewards ask."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmsql.execution import Executor, Pair, Verdict
from slmsql.match import Match
from slmsql.suites.neighbours.folder import Suites
from slmsql.suites.neighbours.judging import SuiteVerdict, suite_verdicts

FAULT_WINDOW = 1000  # the share of faults is taken over this many completions
MIN_FAULTS = 10  # fewer faults never stop a training


class TooManyFaultsError(RuntimeError):
    """The machine fails, not the model. Training is stopped, as it would train on noise."""


@dataclass(frozen=True, slots=True)
class _Request:
    """Pairs that were passed to the judge, and their verdicts once they are there."""

    pairs: list[Pair]
    verdicts: "Future[list[Verdict]]"


class Judge:
    """Gives verdicts to all reward functions of one process.

    The worker processes start with the first completions. A pickled judge keeps only its settings.

    Args:
        workers: number of processes that run SQL. Default: this process's share of the cores.
        cache: folder of gold results, which processes and runs may share.
        fault_share: share of the last completions that may stay without a verdict because of
            faults of the machine.
        suites: neighbour databases, for `suite_verdicts`.
    """

    _requests: dict[tuple[Match, bool], _Request]
    _executor: Executor | None
    _thread: ThreadPoolExecutor | None
    _faults: deque[bool]

    def __init__(
        self,
        *,
        workers: int | None = None,
        cache: Path | None = None,
        fault_share: float = 0.05,
        suites: Suites | None = None,
    ) -> None:
        self.workers = workers or cores_of_this_rank()
        self.cache = cache
        self.fault_share = fault_share
        self.suites = suites
        self._reset()

    def start(
        self, pairs: Sequence[Pair], match: Match, *, neighbours: bool = False
    ) -> "Future[list[Verdict]]":
        """Judge in the background. `verdicts` with the same pairs waits for this result.

        The last request is remembered: one in each match mode, on the rows' own databases and on
        neighbours.
        """
        request = self._requests.get((match, neighbours))
        if request is None or request.pairs != list(pairs):
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")
            request = _Request(list(pairs), self._thread.submit(self._judge, list(pairs), match))
            self._requests[match, neighbours] = request
        return request.verdicts

    def verdicts(self, pairs: Sequence[Pair], match: Match) -> list[Verdict]:
        """One verdict for each pair. The last verdicts in each match mode are remembered.

        Raises:
            TooManyFaultsError: more than `fault_share` of the last completions have no verdict.
            FileNotFoundError: a database no longer exists.
        """
        return self.start(pairs, match).result()

    def suite_verdicts(self, pairs: Sequence[Pair], match: Match) -> list[SuiteVerdict | None]:
        """One verdict for each pair, by its database and the neighbours of that database.

        It is None if the pair has no verdict, or its gold query no suite.

        Raises:
            ValueError: the judge has no suites.
        """
        if self.suites is None:
            raise ValueError("the judge has no suites; give Judge(suites=Suites(folder))")
        return suite_verdicts(
            pairs,
            self.verdicts(pairs, match),
            self.suites,
            match,
            lambda more, mode: self.start(more, mode, neighbours=True).result(),
        )

    def close(self) -> None:
        """Stop the thread and the workers. The judge can be used again."""
        if self._thread is not None:
            self._thread.shutdown()
        if self._executor is not None:
            self._executor.close()
        self._reset()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "workers": self.workers,
            "cache": self.cache,
            "fault_share": self.fault_share,
            "suites": self.suites,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _reset(self) -> None:
        self._requests = {}
        self._executor = None
        self._thread = None
        self._faults = deque(maxlen=FAULT_WINDOW)

    def _judge(self, pairs: list[Pair], match: Match) -> list[Verdict]:
        if self._executor is None:
            self._executor = Executor(workers=self.workers, cache=self.cache)
        verdicts = self._executor.judge(pairs, match=match)
        self._count_faults(verdicts)
        return verdicts

    def _count_faults(self, verdicts: Sequence[Verdict]) -> None:
        self._faults.extend(verdict.correct is None for verdict in verdicts)
        count = sum(self._faults)
        if count >= MIN_FAULTS and count > self.fault_share * len(self._faults):
            reasons = sorted({verdict.reason or "" for verdict in verdicts if verdict.reason})
            raise TooManyFaultsError(
                f"{count} of the last {len(self._faults)} completions could not be judged, more "
                f"than {self.fault_share:.0%}: {'; '.join(reasons[:3])}"
            )


def cores_of_this_rank() -> int:
    """This process's share of the cores: all ranks on a machine divide them."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by torchrun and accelerate
    return max(1, len(os.sched_getaffinity(0)) // ranks)


SHARED = Judge()
