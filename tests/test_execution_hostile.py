"""Ten thousand statements that want to write, escape, fill the memory or never end."""

import hashlib
import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from scripts.bench import hostile_sql
from scripts.bench.hostile_sql import COUNTING
from slmsql.execution import Executor, Limits, Pair, Statement, Status
from slmsql.match import Match
from slmsql.sql.dialect import Dialect

pytestmark = pytest.mark.slow

COUNT = 10_000
LIMITS = Limits(
    steps=20_000,
    seconds=0.2,
    rows=2_000,
    bytes=2**20,
    cell_bytes=2**18,
    memory=64 * 2**20,
    sql_bytes=50_000,
)
# Each costs its worker's life and a fifth of a second, so they come rarely.
SINGLE_INSTRUCTIONS = [
    "SELECT instr(hex(zeroblob(130000)), substr(hex(zeroblob(130000)), 1, 129000) || '{n}x')",
    "SELECT replace(hex(zeroblob(130000)), substr(hex(zeroblob(130000)), 1, 100000) || '{n}x', '')",
    "WITH a AS (SELECT {n}), "
    + ", ".join(
        f"{chr(b)} AS (SELECT 1 FROM {chr(b - 1)} x, {chr(b - 1)} y UNION SELECT 2)"
        for b in range(98, 122)
    )
    + " SELECT count(*) FROM y",
]
HONEST = "SELECT count(*), max(title) FROM movie WHERE movie_id < {n} AND movie_id > {n} - 50"


def statements(folder):
    chance = random.Random(20)
    tables = ["movie", "person", "movie_cast"]
    made = hostile_sql.statements(COUNT, Dialect.SQLITE, tables, folder, Path("/etc/passwd"))
    for n in range(0, COUNT, 250):
        made[n] = chance.choice(SINGLE_INSTRUCTIONS).replace("{n}", str(n))
    for n in range(5, COUNT, 10):
        made[n] = HONEST.format(n=n)
    return made


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def resident(pid):
    """Most memory a process ever had, in bytes."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(
        (int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0
    )


@pytest.fixture
def movies(benchmarks, tmp_path, monkeypatch):
    """A copy of movies_4 (tables over 100,000 rows), alone in its folder."""
    source = benchmarks / "bird" / "train" / "train_databases" / "movies_4" / "movies_4.sqlite"
    path = tmp_path / "database" / "movies_4.sqlite"
    path.parent.mkdir()
    shutil.copyfile(source, path)
    for name in ("work", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "temporary"))
    return path


def test_after_ten_thousand_hostile_statements_everything_is_as_it_was(movies, tmp_path):
    before = digest(movies)
    handles, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    hostile = statements(tmp_path / "work")
    assert len(set(hostile)) > 0.7 * COUNT
    peak = 0

    with Executor(workers=2, limits=LIMITS) as executor:
        workers: set[int] = set()
        done = threading.Event()

        def watch():
            nonlocal peak
            while not done.wait(0.02):
                for process in executor._pool.processes:
                    popen = process.popen
                    if popen is not None:
                        workers.add(popen.pid)
                        peak = max(peak, resident(popen.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        executions = executor.run([Statement(movies, sql) for sql in hostile])
        gold = HONEST.format(n=5)
        verdicts = executor.judge(
            [Pair(movies, sql, gold) for sql in hostile[:1000]], match=Match.STRICT
        )
        after = executor.run([Statement(movies, "SELECT count(*) FROM movie")])[0]
        done.set()
        watcher.join()

    assert digest(movies) == before
    assert [path.name for path in movies.parent.iterdir()] == ["movies_4.sqlite"]
    assert list((tmp_path / "work").iterdir()) == list((tmp_path / "temporary").iterdir()) == []
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == handles
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert 0 < peak < 4 * LIMITS.memory
    assert after.ok

    honest = {HONEST.format(n=n) for n in range(5, COUNT, 10)}
    for sql, execution in zip(hostile, executions, strict=True):
        assert (sql not in honest) or execution.ok, (sql, execution)
        assert execution.kind not in {"infrastructure", "crash"}, (sql[:200], execution)
    assert {execution.status for execution in executions} == set(Status)
    assert not any(
        v.correct for v, sql in zip(verdicts, hostile, strict=False) if sql not in honest
    )


def test_a_thousand_timeouts_leave_no_thread_and_cost_what_they_may(movies):
    """The common way of stopping SQL, a thread that is left behind, gets slower with each."""
    runaway = COUNTING.format("count(*) + {}")
    threads = threading.active_count()
    with Executor(workers=2, limits=LIMITS) as executor:
        times = []
        for half in range(2):
            started = time.monotonic()
            found = executor.run(
                [Statement(movies, runaway.format(n + 500 * half)) for n in range(500)]
            )
            times.append(time.monotonic() - started)
            assert {execution.kind for execution in found} == {"steps"}
    assert threading.active_count() == threads
    assert times[1] < 3 * times[0] + 1
