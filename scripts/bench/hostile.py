"""What do 10,000 hostile statements do to a database, and to the others who use it?

    slmsql sample --output chinook.sqlite
    python scripts/copy_database.py --source chinook.sqlite --target postgresql://owner@localhost/chinook
    python scripts/bench/hostile.py --database postgresql://reader@localhost/chinook \\
        --owner postgresql://owner@localhost/chinook

Runs the statements of hostile_sql.py through the judge's executor. They write, read files, lock,
sleep, fill the memory and never end. Before and after, everything in the database is read as
`--owner` and hashed: all rows, the catalog, settings, sequences, locks and the server's sessions.
(A running server rewrites its own files, so they cannot be compared; DuckDB's file is.) A secret
file, an empty folder and the results show whether a statement got out of the database.

Meanwhile a second user repeats an ordinary query. Attack and peace take turns, so that a busy
machine slows down both: the ratio is the median of its time under attack, over that in peace.

A good result: nothing changed, nothing was read, no session is left, every statement ended within
its time, and the ratio is below 2.
"""

import hashlib
import multiprocessing
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median

from scripts.bench.hostile_sql import statements
from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.execution import Execution, Executor, Limits, Statement
from slmsql.execution.engines.address import dialect_of, is_url
from slmsql.execution.locating import reading_engine
from slmsql.files import Record, write_json
from slmsql.schema.reading import read_schema
from slmsql.sql.dialect import Dialect
from slmsql.sql.quoting import quote_identifier

LIMITS = Limits(seconds=0.5, rows=2_000, bytes=2**20, cell_bytes=2**18, memory=2**28)
ROUND = 250  # statements of one turn of the attack
PEACE = 2.0  # seconds of one turn without
STATE = {  # what a hostile statement might change, besides rows
    Dialect.POSTGRES: """
        SELECT 'relation', relname, relkind::text, relowner::text FROM pg_class
        WHERE relnamespace <> 'pg_toast'::regnamespace
        UNION ALL SELECT 'role', rolname, rolsuper::text, rolconfig::text FROM pg_roles
        UNION ALL SELECT 'function', proname, proowner::text, NULL FROM pg_proc
        UNION ALL SELECT 'sequence', sequencename, last_value::text, NULL FROM pg_sequences
        UNION ALL SELECT 'large object', oid::text, NULL, NULL FROM pg_largeobject_metadata
        UNION ALL SELECT 'advisory lock', pid::text, NULL, NULL FROM pg_locks
            WHERE locktype = 'advisory'
        UNION ALL SELECT 'extension', extname, NULL, NULL FROM pg_extension
        UNION ALL SELECT 'database', datname, NULL, NULL FROM pg_database
        UNION ALL SELECT 'setting', name, setting, NULL FROM pg_settings
            WHERE source IN ('configuration file', 'database', 'user')
        ORDER BY 1, 2, 3, 4
    """,
    Dialect.MYSQL: """
        SELECT 'table', table_schema, table_name, engine FROM information_schema.tables
        UNION ALL SELECT 'routine', routine_schema, routine_name, NULL
            FROM information_schema.routines
        UNION ALL SELECT 'right', grantee, privilege_type, is_grantable
            FROM information_schema.user_privileges
        UNION ALL SELECT 'setting', variable_name, variable_value, NULL
            FROM information_schema.global_variables
            WHERE variable_name NOT LIKE 'gtid%' AND variable_name NOT LIKE 'innodb%'
        ORDER BY 1, 2, 3, 4
    """,
    Dialect.DUCKDB: "SELECT * FROM duckdb_settings() ORDER BY name",
}
SESSIONS = {  # statements of others that the server is running
    Dialect.POSTGRES: """
        SELECT query FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()
    """,
    Dialect.MYSQL: """
        SELECT coalesce(info, state) FROM information_schema.processlist
        WHERE command IN ('Query', 'Execute', 'Killed') AND id <> connection_id()
    """,
}


@dataclass(kw_only=True)
class Options:
    database: Path = field(metadata={"help": "DuckDB file or URL to attack"})
    owner: Path | None = field(
        default=None, metadata={"help": "URL of the same database, for a user who sees all of it"}
    )
    count: int = field(default=10_000, metadata={"help": "number of statements"})
    seed: int = field(default=20, metadata={"help": "draws the statements"})
    workers: int = field(default=2, metadata={"help": "processes that run them"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Attack:
    """What was seen of an attack. All but `statuses` and the times must be empty."""

    statuses: dict[str, int]
    longest: float
    """Seconds until the slowest statement had ended, by the clock."""
    slowest: str
    changed: list[str]
    leaked: list[str]
    """Statements whose result has the content of the secret file."""
    written: list[str]
    """Files that appeared beside the database or in the folder of the statements."""
    running: list[str]
    """Statements that the server still runs."""
    faults: list[str]
    ratio: float
    """A second user's time under attack over that in peace."""


def main() -> None:
    options = parse(Options, about=__doc__)
    owner = options.owner or options.database
    if is_url(options.database) and options.owner is None:
        raise InputError("--owner is missing: only the owner of a database sees all of a server")
    found = attack(
        options.database, owner, options.count, seed=options.seed, workers=options.workers
    )
    figures: Record = {name: getattr(found, name) for name in Attack.__slots__}
    for name, value in figures.items():
        print(f"{name:10} {value if value != [] else 'none'}")
    if options.json:
        write_json(options.json, figures)


def attack(database: Path, owner: Path, count: int, *, seed: int = 20, workers: int = 2) -> Attack:
    """Run hostile statements, and look at what is left of the database.

    Args:
        database: what the statements are sent to.
        owner: the same database as a user sees it who may read everything.
        count: how many statements.
    """
    tables = [table.name for table in read_schema(database).tables]
    with tempfile.TemporaryDirectory(prefix="slmsql-hostile-") as place:
        folder, secret, token = Path(place) / "work", Path(place) / "secret", secrets.token_hex(16)
        folder.mkdir(mode=0o777)
        secret.write_text(token)
        Path(place).chmod(0o755)
        hostile = statements(count, dialect_of(database), tables, folder, secret, seed)
        before = _state(owner, tables), _files(database)
        with Executor(workers=workers, limits=LIMITS) as executor:
            ended, ratio = _in_turns(executor, database, owner, hostile, tables, workers)
        written = [str(file) for file in folder.iterdir()]
        written += sorted(_files(database) ^ before[1])
        changed = sorted(set(before[0].items()) ^ set(_state(owner, tables).items()))
    slowest, longest = max(
        zip(hostile, (seconds for _, seconds in ended), strict=True), key=lambda pair: pair[1]
    )
    pairs = list(zip(hostile, (execution for execution, _ in ended), strict=True))
    return Attack(
        dict(Counter(str(execution.status) for _, execution in pairs)),
        round(longest, 2),
        slowest[:100],
        [f"{name}: {state}" for name, state in changed],
        [sql for sql, execution in pairs if token in repr(execution)],
        written,
        _running(owner),
        [f"{e.error}: {sql[:80]}" for sql, e in pairs if e.kind in ("infrastructure", "crash")],
        round(ratio, 2),
    )


def _in_turns(
    executor: Executor,
    database: Path,
    owner: Path,
    hostile: Sequence[str],
    tables: Sequence[str],
    workers: int,
) -> tuple[list[tuple[Execution, float]], float]:
    """The executions with their seconds, and the ratio of the second user's times."""
    names = [quote_identifier(table, dialect_of(database)) for table in tables]
    ordinary = f"SELECT {', '.join(f'(SELECT count(*) FROM {name})' for name in names)}"
    ended: list[tuple[Execution, float]] = []
    with ThreadPoolExecutor(workers) as threads, _second_user(owner, ordinary) as user:
        for start in range(0, len(hostile), ROUND):
            time.sleep(PEACE)
            user.attacked.set()
            turn = hostile[start : start + ROUND]
            ended += threads.map(lambda sql: _timed(executor, database, sql), turn)
            user.attacked.clear()
            print(f"{len(ended)} of {len(hostile)}", flush=True)
        user.over.set()
        times: dict[bool, list[float]] = user.times.get(timeout=60)
    return ended, median(times[True]) / median(times[False])


@dataclass(frozen=True, slots=True)
class _SecondUser:
    """What this process shares with the one that repeats an ordinary query."""

    attacked: Event
    over: Event
    times: "Queue[dict[bool, list[float]]]"
    """Once it is over: the seconds of each query, by whether the attack was on."""


@contextmanager
def _second_user(owner: Path, sql: str) -> Iterator[_SecondUser]:
    """A process of its own, which does not share our interpreter's lock."""
    context = multiprocessing.get_context("spawn")
    user = _SecondUser(context.Event(), context.Event(), context.Queue())
    process = context.Process(target=_repeat, args=(user, owner, sql), daemon=True)
    process.start()
    try:
        yield user
    finally:
        process.terminate()
        process.join()


def _repeat(user: _SecondUser, owner: Path, sql: str) -> None:
    times: dict[bool, list[float]] = {True: [], False: []}
    parent = multiprocessing.parent_process()
    with reading_engine(owner) as query:
        while parent is not None and parent.is_alive() and not user.over.wait(0.02):
            attacked, start = user.attacked.is_set(), time.perf_counter()
            query(sql)
            times[attacked].append(time.perf_counter() - start)
    user.times.put(times)


def _timed(executor: Executor, database: Path, sql: str) -> tuple[Execution, float]:
    start = time.perf_counter()
    (execution,) = executor.run([Statement(database, sql)], preview=100)
    return execution, time.perf_counter() - start


def _state(owner: Path, tables: Sequence[str]) -> dict[str, str]:
    """A hash of each table's rows, and what else there is to see of the database or the server."""
    dialect = dialect_of(owner)
    with reading_engine(owner) as query:
        rows = {
            table: query(f"SELECT * FROM {quote_identifier(table, dialect)}") for table in tables
        }
        state = query(STATE[dialect])
    hashes = {
        f"rows of {table}": hashlib.sha256(repr(sorted(map(repr, all_rows))).encode()).hexdigest()
        for table, all_rows in rows.items()
    }
    return hashes | {repr(row): "" for row in state}


def _files(database: Path) -> set[str]:
    """The files beside a database file, with their hashes; none for a server."""
    if is_url(database):
        return set()
    return {
        f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}"
        for file in database.parent.iterdir()
        if file.is_file()
    }


def _running(owner: Path) -> list[str]:
    """What the server still runs for others, a second after the last answer."""
    if not is_url(owner):
        return []
    time.sleep(1)
    with reading_engine(owner) as query:
        return [str(sql)[:100] for (sql,) in query(SESSIONS[dialect_of(owner)])]


if __name__ == "__main__":
    run_program(main)
