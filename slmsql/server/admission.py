"""Admission to the server: how many questions run at once, how many may wait, and their counts."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, generate_latest

Result = TypeVar("Result")
Argument = TypeVar("Argument")


class Busy(Exception):
    """The queue is full."""


class Admission:
    """Runs calls on a bounded number of threads, each within a time limit.

    A call over its limit raises at once. Its thread cannot be stopped and occupies its place until
    it ends.
    """

    def __init__(self, *, concurrent: int, waiting: int, seconds: float) -> None:
        self._threads = ThreadPoolExecutor(concurrent, thread_name_prefix="answer")
        self._capacity = concurrent + waiting
        self._seconds = seconds
        self._under_way = 0
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._questions = Counter(
            "slmsql_questions", "Questions by outcome", ["outcome"], registry=self._registry
        )
        self._time = Summary(
            "slmsql_question_seconds", "Seconds per question", registry=self._registry
        )
        self._tokens = Counter("slmsql_tokens", "Tokens sampled", registry=self._registry)
        gauge = Gauge(
            "slmsql_questions_under_way", "Questions running or waiting", registry=self._registry
        )
        gauge.set_function(lambda: self._under_way)

    def begin(
        self, call: Callable[[Argument], Result], argument: Argument
    ) -> Coroutine[None, None, Result]:
        """Start a call, or put it in the queue; awaiting what this returns gives its result.

        If the awaiting task is cancelled, a call that waits is dropped.

        Raises:
            Busy: the queue is full.
            TimeoutError: (when awaited) the call takes longer than the limit.
        """
        start = time.monotonic()
        try:
            future = self._start(call, argument)
        except Busy as error:
            self._count(type(error).__name__, time.monotonic() - start)
            raise
        return self._result(future, start)

    def count_tokens(self, tokens: int) -> None:
        """Add to the number of tokens sampled."""
        self._tokens.inc(tokens)

    def metrics(self) -> bytes:
        """The counts in Prometheus's text format."""
        return generate_latest(self._registry)

    def close(self) -> None:
        """Wait for the calls that run; drop those that wait."""
        self._threads.shutdown(cancel_futures=True)

    def _start(self, call: Callable[[Argument], Result], argument: Argument) -> "Future[Result]":
        with self._lock:
            if self._under_way >= self._capacity:
                raise Busy(f"{self._under_way} questions are under way; try again later")
            self._under_way += 1
        future = self._threads.submit(call, argument)
        future.add_done_callback(self._leave)
        return future

    async def _result(self, future: "Future[Result]", start: float) -> Result:
        outcome = "answered"
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except (Exception, asyncio.CancelledError) as error:
            outcome = type(error).__name__
            raise
        finally:
            self._count(outcome, time.monotonic() - start)

    def _count(self, outcome: str, seconds: float) -> None:
        self._questions.labels(outcome).inc()
        self._time.observe(seconds)

    def _leave(self, _future: "Future[Result]") -> None:
        with self._lock:
            self._under_way -= 1
