"""Requests that threads complete, for samplers whose calls block."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import ParamSpec

from slmsql.sampling.sampler import Completed

WAIT = 0.1  # seconds that `completed` waits for an answer
Arguments = ParamSpec("Arguments")


class RequestThreads:
    """Completes up to `count` requests at once and hands them over as they are done."""

    def __init__(self, count: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._done: SimpleQueue[Future[Completed]] = SimpleQueue()
        self._pending = 0

    def submit(
        self,
        complete: Callable[Arguments, Completed],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> None:
        """Call a function in a thread; return at once."""
        self._pending += 1
        self._threads.submit(complete, *args, **kwargs).add_done_callback(self._done.put)

    def completed(self) -> list[Completed]:
        """Return what is done, after waiting a while for the first."""
        done: list[Completed] = []
        try:
            while len(done) < self._pending:
                done.append(self._done.get(timeout=0 if done else WAIT).result())
        except Empty:
            pass
        self._pending -= len(done)
        return done

    def close(self) -> None:
        """Drop the requests that wait, and finish those under way."""
        self._threads.shutdown(cancel_futures=True)
