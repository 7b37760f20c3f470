"""One sampler for many callers: questions join the batch that is under way."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future

from inference.sampling.sampler import Sampler
from inference.sampling.scheduler import SampledQuestion, Task, draw
from slmsql.execution import Executor


class Dispatcher:
    """Runs a sampler on a thread of its own; any thread may ask it."""

    def __init__(self, sampler: Sampler, executor: Executor) -> None:
        self._sampler = sampler
        self._executor = executor
        self._waiting: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._futures: dict[int, Future[SampledQuestion]] = {}  # by the id() of the task
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still takes questions."""
        return self._thread.is_alive() and not self._closed

    def ask(self, task: Task) -> "Future[SampledQuestion]":
        """Queue a question; the future gets its candidates."""
        future: Future[SampledQuestion] = Future()
        with self._lock:
            if not self.is_alive:
                future.set_exception(RuntimeError("the sampler has stopped"))
                return future
            self._futures[id(task)] = future
            self._waiting.put(task)
        return future

    def close(self) -> None:
        """Finish the questions under way, then close the sampler."""
        with self._lock:
            self._closed = True
        self._waiting.put(None)
        self._thread.join()
        self._sampler.close()

    def _run(self) -> None:
        try:
            while (first := self._waiting.get()) is not None:
                tasks = _QueuedTasks(first, self._waiting)
                for sampled in draw(tasks, self._sampler, self._executor):
                    self._futures.pop(id(sampled.task)).set_result(sampled)
        finally:  # also after an error: no caller may wait for ever
            with self._lock:
                self._closed = True
            for future in self._futures.values():
                future.set_exception(RuntimeError("the sampler has stopped"))


class _QueuedTasks(Iterator[Task]):
    """The tasks in a queue. `next` may be called again after the queue was empty."""

    def __init__(self, first: Task, waiting: "queue.SimpleQueue[Task | None]") -> None:
        self._first: Task | None = first
        self._waiting = waiting

    def __next__(self) -> Task:
        if self._first is not None:
            task, self._first = self._first, None
            return task
        try:
            following = self._waiting.get_nowait()
        except queue.Empty:
            raise StopIteration from None
        if following is None:  # closing: put the mark back, for the thread's own loop
            self._waiting.put(None)
            raise StopIteration
        return following
