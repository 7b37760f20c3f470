"""Worker processes, and one thread for each that sends it jobs."""

import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slmsql.execution.job import Batch, Job
from slmsql.execution.process import NO_STATEMENT, WorkerDeath, WorkerProcess
from slmsql.execution.types import Limits, Status

CLOSED = "the executor is closed"


class Pool:
    """Runs jobs.

    A worker prefers a job on the database it worked on last, then one on a database that no other
    worker is using.
    """

    def __init__(self, workers: int, limits: Limits, cache: Path | None) -> None:
        self.limits = limits
        self.owner = os.getpid()
        self.processes = [WorkerProcess(limits, cache) for _ in range(workers)]
        self.threads: list[threading.Thread] = []
        self.change = threading.Condition()
        self.pending: dict[str, deque[Job]] = {}
        self.busy: dict[int, str] = {}
        self.closed = False

    def finish(self, batch: Batch, jobs: Sequence[Job]) -> None:
        """Do the jobs and wait until all of them are done."""
        batch.waiting = len(jobs)
        if not jobs:
            return
        self._submit(jobs)
        try:
            batch.done.wait()
        except BaseException:  # Ctrl-C: the workers must not go on with this batch
            self._withdraw(batch)
            raise
        if batch.failure is not None:
            raise batch.failure

    def close(self) -> None:
        """End all workers at once and wait for the threads. Calls in progress raise."""
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
        """In a forked child: drop the parent's workers without ending them."""
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
            self.pending.setdefault(job.database.path, deque()).append(job)
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
            pending = [job for jobs in self.pending.values() for job in jobs]
            self.pending.clear()
            self._add([job for job in pending if job.batch is not batch])

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

    def _do(self, process: WorkerProcess, job: Job) -> None:
        try:
            remaining = self._attempt(process, job)
        except Exception as failure:  # our fault, not the statement's: the caller gets it
            remaining = []
            job.batch.failure = failure
        with self.change:
            job.batch.waiting += len(remaining) - 1
            if self.closed:
                _fail(job.batch, RuntimeError(CLOSED))
            elif job.batch.failure is None:
                self._add(remaining)
            if job.batch.waiting == 0 or job.batch.failure is not None:
                job.batch.done.set()

    def _attempt(self, process: WorkerProcess, job: Job) -> list[Job]:
        """Do a job. Returns the jobs that remain to be done if a statement ended the worker."""
        try:
            if job.fresh:
                process.refresh()
            job.deliver(process.ask(job.request()))
        except WorkerDeath as death:
            return self._retry(death, job)
        return []

    def _retry(self, death: WorkerDeath, job: Job) -> list[Job]:
        """The jobs to do after a statement ended the worker of this one.

        A statement that used up its processor time gets its verdict now. After any other death the
        statement runs again in a process that has run nothing else, so that its verdict does not
        depend on what ran before.
        """
        blamed = death.position
        if blamed == NO_STATEMENT:
            if job.again:
                raise RuntimeError(f"the worker process fails without running a statement: {death}")
            job.again = True
            return [job]
        if death.out_of_time:
            message = f"more than {self.limits.seconds} s of processor time"
            job.failures[blamed] = _fields(Status.TIMEOUT, message, "seconds")
        elif job.fresh:
            job.failures[blamed] = _fields(Status.ERROR, str(death), death.kind)
        parts = job.singles()
        for part in parts:
            part.fresh = not death.out_of_time and job.sql[blamed] in part.sql
        return parts


def _fail(batch: Batch, failure: Exception) -> None:
    batch.failure = batch.failure or failure
    batch.done.set()


def _fields(status: Status, message: str, kind: str) -> list[Any]:
    return [status, message, kind]
