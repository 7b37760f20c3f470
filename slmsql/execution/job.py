"""Work for one worker: statements to run on one database, and pairs of them to compare."""

import threading
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from slmsql.execution.database import Identity
from slmsql.execution.types import Execution, Status
from slmsql.execution.wire import Message, as_rows, decode, encode
from slmsql.match import Match

Sql = str | None


class DatabaseState(NamedTuple):
    """A database file as it is now; after the file is replaced, its state is another one."""

    path: str
    identity: Identity


@dataclass(slots=True)
class Batch:
    """The answers that one call waits for. The threads that talk to workers fill it in."""

    executions: dict[tuple[DatabaseState, Sql], Execution] = field(default_factory=dict)
    verdicts: dict[tuple[DatabaseState, Sql, Sql], bool | None] = field(default_factory=dict)
    soft_f1: dict[tuple[DatabaseState, Sql, Sql], tuple[float, float] | None] = field(
        default_factory=dict
    )
    waiting: int = 0
    """Number of jobs that are not done yet."""
    failure: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Job:
    """One request to a worker."""

    batch: Batch
    database: DatabaseState
    sql: list[Sql]
    pairs: list[tuple[int, int]] = field(default_factory=list)
    """(predicted, gold), as positions in `sql`."""
    match: Match | None = None
    preview: int = 0
    """Number of rows to return of each result."""
    digest: Match = Match.BIRD
    """The mode of the digests."""
    soft_f1: bool = False
    """Whether to compute Soft-F1 of the pairs."""
    fresh: bool = False
    """It needs a process that has run nothing else."""
    again: bool = False
    """It was tried before, and its worker died outside of any statement."""
    failures: dict[int, list[Any]] = field(default_factory=dict)
    """Status, error and kind of statements that ended a worker, by position in `sql`."""

    def request(self) -> bytes:
        """The frame to send to the worker."""
        return encode(
            {
                "database": self.database.path,
                "identity": self.database.identity,
                "sql": self.sql,
                "pairs": self.pairs,
                "match": self.match,
                "preview": self.preview,
                "digest": self.digest,
                "soft_f1": self.soft_f1,
                "fresh": self.fresh,
                "failures": self.failures,
            }
        )

    def deliver(self, body: bytes) -> None:
        """Store the worker's answer in the batch."""
        reply = decode(body)
        for sql, fields in zip(self.sql, reply["executions"], strict=True):
            self.batch.executions[self.database, sql] = _execution(fields)
        keys = [
            (self.database, self.sql[predicted], self.sql[gold]) for predicted, gold in self.pairs
        ]
        self.batch.verdicts.update(zip(keys, reply["verdicts"], strict=True))
        if self.soft_f1:
            scores = [score and (score[0], score[1]) for score in reply["soft_f1"]]
            self.batch.soft_f1.update(zip(keys, scores, strict=True))

    def singles(self) -> list["Job"]:
        """The same work as one job per pair or statement, so that no statement affects another."""
        if self.pairs:
            return [self._part(list(dict.fromkeys(pair)), pair) for pair in self.pairs]
        return [self._part([index], None) for index in range(len(self.sql))]

    def _part(self, indices: list[int], pair: tuple[int, int] | None) -> "Job":
        return Job(
            self.batch,
            self.database,
            [self.sql[index] for index in indices],
            [(indices.index(pair[0]), indices.index(pair[1]))] if pair else [],
            self.match,
            self.preview,
            self.digest,
            self.soft_f1,
            failures={
                indices.index(i): fields for i, fields in self.failures.items() if i in indices
            },
        )


def _execution(fields: Message) -> Execution:
    status, error, kind, columns, rows, row_count, digest, steps, volatile = fields
    return Execution(
        Status(status),
        error,
        kind,
        tuple(columns),
        tuple(as_rows(rows)),
        row_count,
        digest,
        steps,
        volatile,
    )
