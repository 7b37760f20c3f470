"""Pieces of work for one worker: statements of one database, and the pairs to compare."""

import threading
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from slmsql.execution.database import Identity
from slmsql.execution.types import Execution, Status
from slmsql.execution.wire import Message, as_rows, decode, encode
from slmsql.match import Match

Sql = str | None


class Place(NamedTuple):
    """A database in the state it has: a replaced file is another place."""

    path: str
    identity: Identity


@dataclass(slots=True)
class Batch:
    """What one call waits for, filled in by the threads that talk to workers."""

    executions: dict[tuple[Place, Sql], Execution] = field(default_factory=dict)
    verdicts: dict[tuple[Place, Sql, Sql], bool | None] = field(default_factory=dict)
    waiting: int = 0
    failure: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Job:
    """One request. `pairs` holds positions in `sql`: (predicted, gold)."""

    batch: Batch
    place: Place
    sql: list[Sql]
    pairs: list[tuple[int, int]] = field(default_factory=list)
    match: Match | None = None
    preview: int = 0
    fresh: bool = False  # nothing else may have run in its process
    again: bool = False  # tried before, and ended by something that was no statement
    known: dict[int, list[Any]] = field(default_factory=dict)

    def request(self) -> bytes:
        """The frame that asks for it."""
        return encode(
            {
                "database": self.place.path,
                "identity": self.place.identity,
                "sql": self.sql,
                "pairs": self.pairs,
                "match": self.match,
                "preview": self.preview,
                "fresh": self.fresh,
                "known": self.known,
            }
        )

    def deliver(self, body: bytes) -> None:
        """Put the answer where the call finds it."""
        reply = decode(body)
        for sql, fields in zip(self.sql, reply["executions"], strict=True):
            self.batch.executions[self.place, sql] = _execution(fields)
        for (first, second), verdict in zip(self.pairs, reply["verdicts"], strict=True):
            self.batch.verdicts[self.place, self.sql[first], self.sql[second]] = verdict

    def singles(self) -> list["Job"]:
        """The same work in the smallest pieces, so that no statement spoils another."""
        if self.pairs:
            return [self._part(list(dict.fromkeys(pair)), pair) for pair in self.pairs]
        return [self._part([index], None) for index in range(len(self.sql))]

    def _part(self, indices: list[int], pair: tuple[int, int] | None) -> "Job":
        return Job(
            self.batch,
            self.place,
            [self.sql[index] for index in indices],
            [(indices.index(pair[0]), indices.index(pair[1]))] if pair else [],
            self.match,
            self.preview,
            known={indices.index(i): fields for i, fields in self.known.items() if i in indices},
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
