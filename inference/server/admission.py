"""How many questions are answered at once, how many may wait, and what became of them."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
A = TypeVar("A")


class Busy(Exception):
    """More wait already than may."""


class Admission:
    """Runs calls on a bounded number of threads, each within its time.

    A call over its time is answered as such at once; its thread goes on and counts until it ends.
    """

    def __init__(self, *, concurrent: int, waiting: int, seconds: float) -> None:
        self._threads = ThreadPoolExecutor(concurrent, thread_name_prefix="answer")
        self._room = concurrent + waiting
        self._seconds = seconds
        self._under_way = 0
        self._counts: Counter[str] = Counter()
        self._spent = 0.0
        self._tokens = 0
        self._lock = threading.Lock()

    async def run(self, call: Callable[[A], T], argument: A) -> T:
        """The call's result.

        Raises:
            Busy: there is no room.
            TimeoutError: it takes longer than the time allowed.
        """
        start = time.monotonic()
        try:
            future = self._enter(call, argument)
            result = await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except Exception as error:
            self._count(type(error).__name__, time.monotonic() - start)
            raise
        self._count("answered", time.monotonic() - start)
        return result

    def count_tokens(self, tokens: int) -> None:
        """Add to the tokens sampled."""
        with self._lock:
            self._tokens += tokens

    def metrics(self) -> str:
        """The counts in Prometheus' text form."""
        with self._lock:
            lines = [
                f'slmsql_questions_total{{outcome="{outcome}"}} {count}'
                for outcome, count in sorted(self._counts.items())
            ]
            return "\n".join(
                [
                    *lines,
                    f"slmsql_question_seconds_sum {self._spent:.3f}",
                    f"slmsql_tokens_total {self._tokens}",
                    f"slmsql_questions_under_way {self._under_way}",
                    "",
                ]
            )

    def close(self) -> None:
        """Wait for what is under way; what only waits is given up."""
        self._threads.shutdown(cancel_futures=True)

    def _enter(self, call: Callable[[A], T], argument: A) -> "Future[T]":
        with self._lock:
            if self._under_way >= self._room:
                raise Busy(f"{self._under_way} questions are under way; try again later")
            self._under_way += 1
        future = self._threads.submit(call, argument)
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _future: "Future[T]") -> None:
        with self._lock:
            self._under_way -= 1

    def _count(self, outcome: str, seconds: float) -> None:
        with self._lock:
            self._counts[outcome] += 1
            self._spent += seconds
