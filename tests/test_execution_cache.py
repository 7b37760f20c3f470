"""Gold results on disk: found again by anybody, never wrong, whatever happens to the files."""

import multiprocessing
import shutil
from pathlib import Path

import pytest

from slmsql.execution import Executor, Limits, Pair, create_database
from slmsql.execution.gold_cache import RECORD, GoldCache
from slmsql.match import Match

LIMITS = Limits(steps=5_000_000)
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


def judge(database, cache, *, golds=("SELECT name, age FROM singer",), limits=LIMITS):
    pairs = [Pair(database, "SELECT name, age FROM singer ORDER BY 1", gold) for gold in golds]
    with Executor(workers=1, limits=limits, cache=cache) as executor:
        return [
            [verdict.correct for verdict in executor.judge(pairs, match=match)] for match in Match
        ]


def files(cache):
    return sorted(cache.glob("*.results"))


def size(cache):
    return sum(file.stat().st_size for file in files(cache))


def test_a_record_is_found_by_another_process_and_lasts(tmp_path):
    writer, reader = GoldCache(tmp_path, LIMITS), GoldCache(tmp_path, LIMITS)
    key = writer.key("gold", "database", "SELECT 1")
    assert reader.read(key) is None
    writer.write(key, [1, 2.0, None, "ä\udcff", b"\x00"])
    reader.refreshed = 0.0
    assert reader.read(key) == [1, 2.0, None, "ä\udcff", {"b": "00"}]
    assert GoldCache(tmp_path, LIMITS).read(key) == reader.read(key)


def test_the_key_is_the_whole_of_what_a_result_depends_on(tmp_path):
    cache, other = GoldCache(tmp_path, LIMITS), GoldCache(tmp_path, Limits(steps=1000))
    keys = {
        cache.key("gold", "database", "SELECT 1"),
        cache.key("gold", "database", "SELECT  1"),
        cache.key("gold", "other", "SELECT 1"),
        cache.key("fingerprint", "database", "SELECT 1"),
        other.key("gold", "database", "SELECT 1"),
    }
    assert len(keys) == 5


def test_gold_results_are_written_once_and_give_the_same_verdicts(singers, tmp_path):
    golds = (
        "SELECT name, age FROM singer",
        "SELECT name, age FROM singer ORDER BY 1 DESC",
        "SELECT name, age, x'00ff' FROM singer",
        "SELECT 0.5, 1.0, 1, NULL, 1e999, CAST(x'ff' AS TEXT)",
        "SELECT wrong FROM singer",
        ENDLESS,
    )
    fresh = judge(singers, None, golds=golds)
    assert judge(singers, tmp_path, golds=golds) == fresh
    written = size(tmp_path)
    assert written > 0
    assert judge(singers, tmp_path, golds=golds) == fresh
    assert size(tmp_path) == written


def test_a_gold_from_disk_is_what_the_gold_gave(singers, tmp_path):
    gold = "SELECT CAST(x'ff' AS TEXT), x'00', 2, 2.0, NULL, name FROM singer ORDER BY name"
    seen = []
    for _ in range(2):
        with Executor(workers=1, cache=tmp_path) as executor:
            pairs = [Pair(singers, text, gold) for text in (gold + " -- the same", "SELECT 1")]
            seen.append([executor.judge(pairs, match=match) for match in Match])
    assert seen[0] == seen[1]
    assert all(verdicts[0].correct for verdicts in seen[1])


def test_a_changed_database_has_other_gold_results(singers, tmp_path):
    assert judge(singers, tmp_path) == [[True], [True], [True]]
    create_database(
        singers,
        "CREATE TABLE singer (name, age, alias); INSERT INTO singer VALUES ('Eve', 1, 2);",
    )
    assert judge(singers, tmp_path) == [[True], [True], [True]]
    golds = ["SELECT 'Ann', 30 UNION SELECT 'Bob', 25 UNION SELECT 'Cid', 30"]
    assert judge(singers, tmp_path, golds=golds) == [[False], [False], [False]]


@pytest.mark.parametrize("kept", [0, 1, RECORD.size - 1, RECORD.size, RECORD.size + 5, -1])
def test_a_file_cut_anywhere_is_read_up_to_there(singers, tmp_path, kept):
    expected = judge(singers, tmp_path)
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:kept])
    assert judge(singers, tmp_path) == expected


@pytest.mark.parametrize("position", [0, 5, RECORD.size - 6, RECORD.size + 3])
def test_a_damaged_file_is_not_believed(singers, tmp_path, position):
    expected = judge(singers, tmp_path)
    (file,) = files(tmp_path)
    content = bytearray(file.read_bytes())
    content[position] ^= 0xFF
    file.write_bytes(bytes(content))
    assert judge(singers, tmp_path) == expected


def test_what_chance_or_the_time_decides_is_not_kept(singers, tmp_path):
    golds = ("SELECT random()", "SELECT date('now')", "SELECT abs(random()) FROM singer")
    judge(singers, tmp_path)
    written = size(tmp_path)
    judge(singers, tmp_path, golds=golds)
    assert size(tmp_path) == written


def write_many(folder, writer):
    cache = GoldCache(Path(folder), LIMITS)
    for number in range(300):
        cache.write(cache.key("gold", "x", str(number)), [number, "y" * (number * 7 % 5000)])
        if number % 50 == writer:
            cache.refreshed = 0.0
            found = cache.read(cache.key("gold", "x", str(number // 2)))
            assert found is None or found[0] == number // 2


def test_many_processes_may_write_and_read_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    cache = GoldCache(tmp_path, LIMITS)
    for number in range(300):
        record = cache.read(cache.key("gold", "x", str(number)))
        assert record == [number, "y" * (number * 7 % 5000)]


def test_the_folder_may_be_deleted_while_it_is_used(singers, tmp_path):
    folder = tmp_path / "cache"
    with Executor(workers=1, cache=folder) as executor:
        for number in range(3):
            gold = f"SELECT name, age FROM singer WHERE {number} = {number}"
            pairs = [Pair(singers, "SELECT name, age FROM singer", gold)]
            assert executor.judge(pairs, match=Match.STRICT)[0].correct
            shutil.rmtree(folder, ignore_errors=True)


def test_many_executors_may_share_a_cache(singers, tmp_path):
    golds = [f"SELECT name, age FROM singer WHERE {n} = {n}" for n in range(100)]
    with (
        Executor(workers=2, cache=tmp_path / "new" / "cache") as one,
        Executor(workers=2, cache=tmp_path / "new" / "cache") as two,
    ):
        pairs = [Pair(singers, "SELECT name, age FROM singer", gold) for gold in golds]
        for executor in (one, two, one):
            for match in Match:
                assert all(v.correct for v in executor.judge(pairs, match=match))
