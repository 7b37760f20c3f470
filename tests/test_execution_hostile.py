"""Ten thousand statements that want to write, escape, fill the memory or never end."""

import hashlib
import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from slmsql.execution import Executor, Limits, Pair, Statement, Status
from slmsql.match import Match

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
COUNTING = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT {} FROM c"
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
TEMPLATES = [
    "INSERT INTO person VALUES ({n}, 'x')",
    "UPDATE movie SET title = '{n}' WHERE 1 RETURNING *",
    "DELETE FROM {table}",
    "REPLACE INTO {table} SELECT * FROM {table}",
    "WITH c AS (SELECT {n}) DELETE FROM {table} WHERE 1",
    "WITH c AS (SELECT {n}) UPDATE {table} SET rowid = 1",
    "CREATE TABLE t{n} AS SELECT * FROM {table}",
    "CREATE TEMP TABLE {table} AS SELECT {n}",
    "CREATE TEMP VIEW {table} AS SELECT {n}",
    "CREATE TRIGGER t{n} AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
    "CREATE VIRTUAL TABLE v{n} USING fts5(a)",
    "CREATE INDEX i{n} ON {table} (1)",
    "DROP TABLE {table}",
    "DROP TABLE IF EXISTS {table}; SELECT {n}",
    "ALTER TABLE {table} RENAME TO t{n}",
    "ALTER TABLE {table} ADD COLUMN c{n}",
    "ATTACH '{folder}/a{n}.sqlite' AS a{n}",
    "ATTACH 'file:{folder}/b{n}.sqlite?mode=rwc' AS b{n}",
    "ATTACH ':memory:' AS m{n}",
    "DETACH main",
    "VACUUM INTO '{folder}/v{n}.sqlite'",
    "VACUUM",
    "REINDEX; -- {n}",
    "ANALYZE {table}",
    "PRAGMA writable_schema = {n}",
    "PRAGMA journal_mode = WAL -- {n}",
    "PRAGMA query_only = OFF; DELETE FROM {table}",
    "PRAGMA case_sensitive_like = {n}",
    "PRAGMA hard_heap_limit = 0 -- {n}",
    "PRAGMA temp_store_directory = '{folder}/{n}'",
    "SELECT * FROM pragma_journal_mode('wal') -- {n}",
    "SELECT * FROM pragma_database_list -- {n}",
    "SELECT * FROM sqlite_master WHERE {n}",
    "SELECT * FROM sqlite_temp_schema WHERE {n}",
    "SELECT * FROM dbstat -- {n}",
    "SELECT load_extension('{folder}/x{n}.so')",
    "SELECT load_extension('libc.so.6', 'system')",
    "SELECT fts3_tokenizer('x{n}', x'4141414141414141')",
    "SELECT writefile('{folder}/w{n}', 'x'), readfile('/etc/passwd')",
    "SELECT edit('{n}')",
    "BEGIN EXCLUSIVE -- {n}",
    "SAVEPOINT s{n}",
    "ROLLBACK; COMMIT; END",
    "EXPLAIN DELETE FROM {table}",
    COUNTING.format("count(*) + {n}"),
    COUNTING.format("x || '{n}'"),
    COUNTING.format("group_concat(x || '{n}')"),
    COUNTING.format("json_group_array(hex(zeroblob(x + {n})))"),
    COUNTING.format("sum(length(randomblob(1000 * x + {n})))"),
    COUNTING.format("hex(zeroblob(50000)) || {n}"),
    "SELECT count(*) + {n} FROM person a, person b, person c, movie d",
    "SELECT a.person_name || {n} FROM person a, person b ORDER BY 1",
    "SELECT DISTINCT a.person_name, b.person_name, {n} FROM person a, person b",
    "SELECT count(*) + {n} FROM movie a, movie b WHERE a.title LIKE '%' || b.title || '%'",
    "SELECT max({n}, a.title GLOB '*' || b.title || '*') FROM movie a, movie b GROUP BY a.title",
    "SELECT randomblob(1000000000 + {n})",
    "SELECT zeroblob(2147483647 - {n})",
    "SELECT hex(randomblob(50000 + {n}))",
    "SELECT printf('%.{n}00000000f', 1)",
    "SELECT printf('%*d', 2000000000 + {n}, 1)",
    "SELECT printf('%s%s%s', hex(zeroblob(100000)), hex(zeroblob(100000)), {n})",
    "SELECT replace(hex(zeroblob(1000 + {n})), '0', hex(zeroblob(5000)))",
    "SELECT group_concat(hex(randomblob(100 + {n})), {n}) FROM person",
    "SELECT quote(zeroblob(100000)) || {n} FROM person LIMIT 50",
    "SELECT 'a' LIKE '{percents}' || {n}",
    "SELECT hex(zeroblob(100000)) LIKE '{percents}b{n}'",
    "SELECT hex(zeroblob(100000)) GLOB '{stars}[^0]{n}'",
    "SELECT {open}{n}{close}",
    "SELECT {nots}{n}",
    "SELECT " + "CASE WHEN {n} THEN " * 300 + "1" + " END" * 300,
    "SELECT {terms}",
    "SELECT {n} IN ({list})",
    "SELECT 1 WHERE {ands}",
    "{union}",
    "SELECT * FROM {joins}",
    "SELECT {n}; DROP TABLE {table}",
    "SELECT {n}; SELECT 2; SELECT 3",
    "SELECT {n} /* open comment ; DROP TABLE {table}",
    "-- {n}\nDROP TABLE {table}",
    "/* {n} */ /**/ PRAGMA user_version = 7",
    ";;; DELETE FROM {table} -- {n}",
    "\ufeffDELETE FROM {table} -- {n}",
    "SELECT {n}\0; DROP TABLE {table}",
    "SELECT '\udcff{n}\ud800'",
    "SELECT CAST(x'ff{n:04x}c328' AS TEXT)",
    "SELECT \"{n}",
    "SELECT '{n}",
    "SELECT `{n}",
    "SELECT json_extract('{json}', '$.a')",
    "SELECT count(*) + {n} FROM json_tree('{json}')",
    "SELECT * FROM json_each(json_array({list}))",
    "SELECT ?{n}, :a, @b, $c",
    "SELECT strftime('%{n}Y', 'now', '{n} years', 'localtime')",
    "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN {n} PRECEDING AND CURRENT ROW) FROM (SELECT "
    "person_id x FROM person)",
    "SELECT zeroblob(200000), zeroblob(200000), zeroblob(200000), {n}, zeroblob(200000)",
]  # fmt: skip
HONEST = "SELECT count(*), max(title) FROM movie WHERE movie_id < {n} AND movie_id > {n} - 50"


def statements(folder, seed=20):
    chance = random.Random(seed)
    made = []
    while len(made) < COUNT:
        n = len(made)
        size = chance.randrange(10, 900)
        template = chance.choice(TEMPLATES)
        sql = template.format(
            n=n,
            folder=folder,
            table=chance.choice(["movie", "person", "movie_cast"]),
            percents="%a_" * (size // 3),
            stars="*[0-9]?" * (size // 8),
            open="(" * size,
            close=")" * size,
            nots="NOT " * size,
            terms=" + ".join(["1"] * 3 * size),
            list=", ".join(map(str, range(size))),
            ands=" AND ".join(["1"] * size),
            union=" UNION ALL ".join(["SELECT 1"] * size),
            joins=", ".join(f"person p{i}" for i in range(size // 10)) or "person",
            json="[" * size + "]" * size,
        )
        made.append(_mutated(sql, chance) if chance.random() < 0.25 else sql)
        if n % 250 == 0:
            made[-1] = chance.choice(SINGLE_INSTRUCTIONS).replace("{n}", str(n))
        if n % 10 == 5:
            made[-1] = HONEST.format(n=n)
    return made


def _mutated(sql, chance):
    characters = list(sql)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(characters))
        characters[place] = chance.choice(["", "'", '"', "(", ")", ";", "--", "/*", "\0", " ", "é"])
    return "".join(characters)


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
