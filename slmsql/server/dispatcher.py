"""One sampler for many callers: questions join the batch that is under way."""

import queue
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from slmsql.execution import Executor
from slmsql.sampling.sampler import Sampler
from slmsql.sampling.scheduler import SampledQuestion, Task, draw


@dataclass(frozen=True, slots=True)
class _QueuedTask:
    task: Task
    future: "Future[SampledQuestion]" = field(default_factory=Future)


_Queue = queue.SimpleQueue[_QueuedTask | None]  # None: the dispatcher closes


class Dispatcher:
    """Runs a sampler on a thread of its own; any thread may ask it.

    An error of the sampler fails the questions under way; the next question tries it again.
    """

    def __init__(self, sampler: Sampler, executor: Executor) -> None:
        self._sampler = sampler
        self._executor = executor
        self._waiting: _Queue = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._has_failed = False
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it takes questions, and the sampler's last work was no error."""
        return self._thread.is_alive() and not self._closed and not self._has_failed

    def ask(self, task: Task) -> "Future[SampledQuestion]":
        """Queue a question; the future gets its candidates."""
        queued = _QueuedTask(task)
        with self._lock:
            if self._closed:
                queued.future.set_exception(RuntimeError("the server is stopping"))
            else:
                self._waiting.put(queued)
        return queued.future

    def close(self) -> None:
        """Finish the questions under way, then close the sampler."""
        with self._lock:
            self._closed = True
        self._waiting.put(None)
        self._thread.join()
        self._sampler.close()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            self._answer(_TasksInQueue(first, self._waiting))

    def _answer(self, tasks: "_TasksInQueue") -> None:
        """Answer questions until the queue is empty or the sampler raises."""
        try:
            for sampled in draw(tasks, self._sampler, self._executor):
                self._has_failed = False
                tasks.futures.pop(id(sampled.task)).set_result(sampled)
        except Exception as error:  # whatever it is, the server goes on
            traceback.print_exc()
            self._has_failed = True
            for future in tasks.futures.values():
                future.set_exception(RuntimeError(f"the sampler failed: {error}"))


class _TasksInQueue(Iterator[Task]):
    """The tasks in a queue. `next` may be called again after the queue was empty."""

    def __init__(self, first: _QueuedTask, waiting: _Queue) -> None:
        self.futures: dict[int, Future[SampledQuestion]] = {}
        """The futures of the tasks taken from the queue, by the id() of the task."""
        self._first: _QueuedTask | None = first
        self._waiting = waiting

    def __next__(self) -> Task:
        queued, self._first = self._first or self._following(), None
        self.futures[id(queued.task)] = queued.future
        return queued.task

    def _following(self) -> _QueuedTask:
        try:
            following = self._waiting.get_nowait()
        except queue.Empty:
            raise StopIteration from None
        if following is None:  # closing: put the mark back, for the thread's own loop
            self._waiting.put(None)
            raise StopIteration
        return following
