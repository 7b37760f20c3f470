"""Worker processes and the threads that feed them, one each."""

import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slmsql.execution.job import Batch, Job
from slmsql.execution.process import NOWHERE, Died, Process
from slmsql.execution.types import Limits, Status

CLOSED = "the executor is closed"


class Pool:
    """Runs jobs. A worker prefers the database it had before, then one that nobody works on."""

    def __init__(self, workers: int, limits: Limits, cache: Path | None) -> None:
        self.limits = limits
        self.owner = os.getpid()
        self.processes = [Process(limits, cache) for _ in range(workers)]
        self.threads: list[threading.Thread] = []
        self.change = threading.Condition()
        self.pending: dict[str, deque[Job]] = {}
        self.busy: dict[int, str] = {}
        self.closed = False

    def finish(self, batch: Batch, jobs: Sequence[Job]) -> None:
        """Do the jobs and wait for the last one."""
        batch.waiting = len(jobs)
        if not jobs:
            return
        self._submit(jobs)
        try:
            batch.done.wait()
        except BaseException:  # Ctrl-C: leave nothing behind for the workers to do
            self._withdraw(batch)
            raise
        if batch.failure is not None:
            raise batch.failure

    def close(self) -> None:
        """End all workers at once and wait for the threads; a call under way raises."""
        if self.owner != os.getpid():
            return self.forsake()
        with self.change:
            self.closed = True
            for batch in {id(j.batch): j.batch for q in self.pending.values() for j in q}.values():
                _fail(batch, RuntimeError(CLOSED))
            self.pending.clear()
            self.change.notify_all()
        for process in self.processes:
            process.kill()
        for thread in self.threads:
            thread.join()

    def forsake(self) -> None:
        """In a forked child: let go of the parent's workers without touching them."""
        for process in self.processes:
            process.forsake()

    def _submit(self, jobs: Sequence[Job]) -> None:
        with self.change:
            if self.closed:
                raise RuntimeError(CLOSED)
            self._add(jobs)
            wanted = min(len(self.processes), sum(map(len, self.pending.values())) + len(self.busy))
            while len(self.threads) < wanted:
                self._start_thread()

    def _add(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.pending.setdefault(job.place.path, deque()).append(job)
        self.change.notify_all()

    def _start_thread(self) -> None:
        number = len(self.threads)
        thread = threading.Thread(
            target=self._serve, args=(number,), name=f"slmsql-worker-{number}", daemon=True
        )
        self.threads.append(thread)
        thread.start()

    def _withdraw(self, batch: Batch) -> None:
        with self.change:
            kept = [job for jobs in self.pending.values() for job in jobs if job.batch is not batch]
            self.pending.clear()
            self._add(kept)

    def _serve(self, number: int) -> None:
        process = self.processes[number]
        try:
            while (job := self._take(number)) is not None:
                self._do(process, job)
        finally:
            process.close()

    def _take(self, number: int) -> Job | None:
        with self.change:
            last = self.busy.pop(number, None)
            while not self.closed:
                database = self._choose(last)
                if database is not None:
                    self.busy[number] = database
                    return self._pop(database)
                self.change.wait()
            return None

    def _choose(self, last: str | None) -> str | None:
        if last is not None and last in self.pending:
            return last
        taken = set(self.busy.values())
        free = [database for database in self.pending if database not in taken]
        return max(free or self.pending, key=lambda name: len(self.pending[name]), default=None)

    def _pop(self, database: str) -> Job:
        jobs = self.pending[database]
        job = jobs.popleft()
        if not jobs:
            del self.pending[database]
        return job

    def _do(self, process: Process, job: Job) -> None:
        try:
            follow = self._attempt(process, job)
        except Exception as failure:  # ours, not the statement's: it belongs to the caller
            follow = []
            job.batch.failure = failure
        with self.change:
            job.batch.waiting += len(follow) - 1
            if self.closed:
                _fail(job.batch, RuntimeError(CLOSED))
            elif job.batch.failure is None:
                self._add(follow)
            if job.batch.waiting == 0 or job.batch.failure is not None:
                job.batch.done.set()

    def _attempt(self, process: Process, job: Job) -> list[Job]:
        """Do a job; returns what remains of it when a statement ended the worker."""
        try:
            if job.fresh:
                process.refresh()
            job.deliver(process.ask(job.request()))
        except Died as death:
            return self._after(death, job)
        return []

    def _after(self, death: Died, job: Job) -> list[Job]:
        """The parts of a job that a statement has ended together with its worker.

        Processor time is the statement's own; everything else is tried once more in a process
        that has seen nothing else, so that the verdict does not depend on what ran before.
        """
        blamed = death.position
        if blamed == NOWHERE:
            if job.again:
                raise RuntimeError(f"the worker process for SQL does not work: {death}")
            job.again = True
            return [job]
        if death.out_of_time:
            message = f"more than {self.limits.seconds} s of processor time"
            job.known[blamed] = _fields(Status.TIMEOUT, message, "seconds")
        elif job.fresh:
            job.known[blamed] = _fields(Status.ERROR, str(death), death.kind)
        again = job.singles()
        for part in again:
            part.fresh = not death.out_of_time and job.sql[blamed] in part.sql
        return again


def _fail(batch: Batch, failure: Exception) -> None:
    batch.failure = batch.failure or failure
    batch.done.set()


def _fields(status: Status, message: str, kind: str) -> list[Any]:
    return [status, message, kind]
