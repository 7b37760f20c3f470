"""How a worker answers a request: it runs statements, compares pairs and caches gold results."""

import mmap
import os
import signal
import struct
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from slmsql.execution.database import Identity, content_hash
from slmsql.execution.engines.address import dialect_of
from slmsql.execution.gold_cache import GoldCache
from slmsql.execution.opening import open_sandbox
from slmsql.execution.result import Result, Sandbox
from slmsql.execution.sandbox import SQLiteSandbox
from slmsql.execution.types import Limits, Status
from slmsql.execution.wire import EXIT_FRESH, Message, as_rows
from slmsql.match import Match, orders_rows, same_result
from slmsql.match.soft_f1 import official as official_soft_f1
from slmsql.match.soft_f1 import soft_f1
from slmsql.sql.dialect import Dialect

OPEN_DATABASES = 64
OPEN_ELSEWHERE = 8  # DuckDB maps 70 MB for each, and servers have a limited number of connections
GOLD_BYTES = 64 * 2**20  # bytes of gold results that a worker keeps in memory
OVERHEAD = 500  # bytes counted for each result, besides its rows
POSITION = struct.Struct("<I")
# Kinds of results that go to disk. The others depend on the machine or on the moment.
LASTING = frozenset({None, "steps", "rows", "bytes", "cell_bytes"})


class Session:
    """Open databases and gold results of one worker."""

    def __init__(self, limits: Limits, cache: GoldCache | None, page: mmap.mmap) -> None:
        self.limits = limits
        self.cache = cache
        self.page = page
        self.sandboxes: OrderedDict[str, tuple[Identity, Sandbox]] = OrderedDict()
        self.gold: OrderedDict[tuple[str, str, str], Result] = OrderedDict()
        self.gold_size = 0

    def answer(self, request: Message) -> Message:
        """Run the statements of a request and compare the pairs in it."""
        task = _Task(self, request)
        verdicts = [task.verdict(predicted, gold) for predicted, gold in request["pairs"]]
        results = [task.result(index) for index in range(len(request["sql"]))]
        pairs = request["pairs"] if request["soft_f1"] else []
        return {
            "verdicts": verdicts,
            "soft_f1": [task.soft_f1(predicted, gold) for predicted, gold in pairs],
            "executions": [
                _fields(result, request["preview"], Match(request["digest"])) for result in results
            ],
        }

    def run(self, path: str, identity: Identity, sql: str | None, *, final: bool) -> Result:
        """Run one statement within its processor time.

        Args:
            path: the database.
            identity: the state of the database's file.
            sql: the statement.
            final: the process has run nothing else, so if memory runs out, the statement is to
                blame; otherwise the process ends and the statement runs again in a new one.
        """
        signal.setitimer(signal.ITIMER_PROF, self.limits.seconds)
        try:
            return self._sandbox(path, identity).execute(sql)
        except MemoryError:
            if not final:
                os._exit(EXIT_FRESH)
            return Result(Status.TOO_LARGE, f"more than {self.limits.memory} bytes", "memory")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def run_gold(self, path: str, identity: Identity, sql: str, *, final: bool) -> Result:
        """Run a gold query, or return its cached result from memory or disk."""
        key = (path, str(identity), sql)
        if key in self.gold:
            self.gold.move_to_end(key)
            return self.gold[key]
        result = self._from_disk(path, identity, sql, final=final)
        if not result.volatile:
            self.gold[key] = result
            self.gold_size += result.size + OVERHEAD
            while self.gold_size > GOLD_BYTES:
                self.gold_size -= self.gold.popitem(last=False)[1].size + OVERHEAD
        return result

    def _from_disk(self, path: str, identity: Identity, sql: str, *, final: bool) -> Result:
        if self.cache is None or dialect_of(Path(path)) is not Dialect.SQLITE:
            return self.run(path, identity, sql, final=final)
        key = self.cache.key("gold", self._fingerprint(self.cache, path, identity), sql)
        record = self.cache.read(key)
        if record is not None:
            return _from_record(record)
        result = self.run(path, identity, sql, final=final)
        lasting = result.kind in LASTING or result.status is Status.ERROR
        if lasting and not result.volatile and result.kind != "database":
            self.cache.write(key, _as_record(result))
        return result

    def _fingerprint(self, cache: GoldCache, path: str, identity: Identity) -> str:
        key = cache.key("fingerprint", path, str(identity))
        content = cache.read(key)
        if content is None:
            content = content_hash(path, identity)
            cache.write(key, content)
        return str(content)

    def _sandbox(self, path: str, identity: Identity) -> Sandbox:
        opened_as, sandbox = self.sandboxes.pop(path, (None, None))
        if sandbox is not None and opened_as != identity:  # the file was replaced
            sandbox.close()
            sandbox = None
        if sandbox is None:
            sandbox = open_sandbox(path, self.limits)
            most = OPEN_DATABASES if isinstance(sandbox, SQLiteSandbox) else OPEN_ELSEWHERE
            while len(self.sandboxes) >= most:
                self.sandboxes.popitem(last=False)[1][1].close()
        self.sandboxes[path] = (identity, sandbox)
        return sandbox


class _Task:
    """One request: statements of one database, each of which runs once."""

    def __init__(self, session: Session, request: Message) -> None:
        self.session = session
        self.request = request
        self.match = Match(request["match"]) if request["match"] else None
        self.golds = {gold for _, gold in request["pairs"]}
        self.results: dict[int, Result] = {
            int(index): Result(Status(status), error, kind)
            for index, (status, error, kind) in request["failures"].items()
        }

    def result(self, index: int) -> Result:
        if index not in self.results:
            self.results[index] = self._run(index)
        return self.results[index]

    def verdict(self, predicted_index: int, gold_index: int) -> bool | None:
        gold = self.result(gold_index)
        predicted = self.result(predicted_index)
        if not gold.ok:
            return None
        if not predicted.ok or self.match is None:
            return False
        return predicted is gold or self._agree(predicted, gold, self.request["sql"][gold_index])

    def soft_f1(self, predicted_index: int, gold_index: int) -> tuple[float, float] | None:
        """Soft-F1 and BIRD's Soft-F1; None if a query failed or memory ran out."""
        predicted, gold = self.result(predicted_index), self.result(gold_index)
        if not predicted.ok or not gold.ok:
            return None
        try:
            return soft_f1(predicted.rows, gold.rows), official_soft_f1(predicted.rows, gold.rows)
        except MemoryError:
            if not self.request["fresh"]:
                os._exit(EXIT_FRESH)
            return None

    def _run(self, index: int) -> Result:
        POSITION.pack_into(self.session.page, 0, index)
        run = self.session.run_gold if index in self.golds else self.session.run
        request = self.request
        return run(
            request["database"],
            tuple(request["identity"]),
            request["sql"][index],
            final=request["fresh"],
        )

    def _agree(self, predicted: Result, gold: Result, gold_sql: str) -> bool | None:
        assert self.match is not None
        try:
            if self.match is Match.BIRD:
                return _same_set(predicted, gold)
            return same_result(
                predicted.rows,
                gold.rows,
                self.match,
                ordered=orders_rows(gold_sql),
                widths=(len(predicted.columns), len(gold.columns)),
            )
        except MemoryError:
            if not self.request["fresh"]:
                os._exit(EXIT_FRESH)
            return None


def _same_set(predicted: Result, gold: Result) -> bool:
    """Whether the sets of rows are equal; if so, the gold's digest serves for both."""
    if predicted.row_set != gold.row_set:
        return False
    predicted.digest = gold.digest
    return True


def _fields(result: Result, preview: int, match: Match) -> Message:
    rows = [tuple(map(_readable, row)) for row in result.rows[:preview]]
    parts = (result.status, result.error, result.kind, result.columns, rows, len(result.rows))
    return (*parts, result.digest_for(match), result.steps, result.volatile)


def _readable(value: Hashable) -> Hashable:
    """Text that can be printed: bytes that are not UTF-8, kept as surrogates, are replaced."""
    if type(value) is str and not value.isascii():
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value


def _as_record(result: Result) -> Message:
    parts = (result.status, result.error, result.kind, result.columns, result.rows)
    return (*parts, result.steps, result.size)


def _from_record(record: Message) -> Result:
    status, error, kind, columns, rows, steps, size = record
    return Result(
        Status(status),
        error,
        kind,
        tuple(columns),
        as_rows(rows),
        steps=steps,
        size=size,
    )
