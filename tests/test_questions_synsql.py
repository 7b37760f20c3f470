"""SynSQL records: read as a stream, filtered, turned into the think layout."""

import json
import time

import pytest

from slmsql.errors import InputError
from slmsql.questions.ddl import create_missing, read_ddl
from slmsql.questions.synsql import Reason, SynRecord, has_comment, read_synsql, think


def syn(sql="SELECT 1", cot="First this.\n```sql\nSELECT 1\n```\nAfter."):
    return SynRecord(0, "d", "q", "", "Simple", cot, sql)


def raw(**changes):
    fields = {
        "db_id": "d",
        "sql_complexity": "Simple",
        "question_style": "Formal",
        "question": "q",
        "external_knowledge": "",
        "cot": "c",
        "sql": "SELECT 1",
    }
    return fields | changes


def read(tmp_path, content):
    file = tmp_path / "data.json"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return list(read_synsql(file))


def test_what_follows_the_final_sql_is_cut():
    assert think(syn()) == "First this."


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (syn(sql="DELETE FROM t"), Reason.NO_SELECT),
        (syn(sql="SELECT 1 -- one"), Reason.COMMENT),
        (syn(sql="SELECT 1 /* one */"), Reason.COMMENT),
        (syn(cot="no block"), Reason.NO_FINAL_SQL),
        (syn(cot="a\n```sql\nSELECT 2\n```"), Reason.NO_FINAL_SQL),
        (syn(cot="a\n```sql\nSELECT 1\n```\nb\n```sql\nSELECT 1\n```"), Reason.REPEATED),
        (syn(cot="We take SELECT  1 here.\n```sql\nSELECT 1;\n```"), Reason.REPEATED),
        (syn(cot="```sql\nSELECT 1\n```"), Reason.NO_THOUGHT),
    ],
)
def test_each_filter_has_its_reason(record, reason):
    assert think(record) is reason


def test_two_dashes_in_a_literal_are_no_comment():
    assert not has_comment("SELECT '--', \"/*\" FROM t")
    assert has_comment("SELECT '--' -- x")


@pytest.mark.parametrize(
    "bad",
    [
        3,
        None,
        "text",
        [],
        {},
        raw(sql=None),
        raw(sql=" "),
        raw(question=7),
        raw(cot="\0"),
        raw(external_knowledge=["x"]),
    ],
)
def test_a_malformed_record_is_none_and_the_others_keep_their_positions(tmp_path, bad):
    records = read(tmp_path, [raw(), bad, raw()])
    assert [record.position if record else None for record in records] == [0, None, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no records|broken"),
        (b"[]", "no records"),
        (b"{}", "no records"),
        (json.dumps([raw(), raw()]).encode()[:-40], "broken after record 0"),
        (b'[{"db_id": "\xff"}]', "broken after record -1|UTF-8"),
        (b"PK\x03\x04", "broken"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


def test_duplicates_are_equal_whatever_their_reasoning():
    same = syn(sql="SELECT   1;", cot="other")
    assert syn().identity() == same.identity()
    assert syn().identity() != syn(sql="SELECT 2").identity()


def test_databases_are_made_from_ddl_where_there_are_none(tmp_path):
    entries = [
        {"db_id": "list", "ddls": ["CREATE TABLE a (x TEXT)", "CREATE TABLE b (y TEXT);"]},
        {"db_id": "text", "ddl": "CREATE TABLE a (\n x TEXT\n)\n\nCREATE TABLE b (\n y TEXT\n)"},
        {"db_id": "broken", "ddls": ["CREATE TABEL"]},
    ]
    file = tmp_path / "tables.json"
    file.write_text(json.dumps(entries))
    created, broken = create_missing(file, tmp_path / "databases")
    assert (created, list(broken)) == (2, ["broken"])
    assert create_missing(file, tmp_path / "databases")[0] == 0


def test_a_missing_semicolon_is_looked_for_in_linear_time(tmp_path):
    file = tmp_path / "tables.json"
    file.write_text(
        json.dumps([{"db_id": "d", "ddl": "CREATE TABLE t (a)" + "\n" * 300_000 + "x"}])
    )
    start = time.perf_counter()
    list(read_ddl(file))
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize(
    "content", ["[{}]", '[{"db_id": "x"}]', '[{"db_id": "../x", "ddl": "CREATE TABLE t (a)"}]', "["]
)
def test_a_malformed_ddl_file_is_refused(tmp_path, content):
    file = tmp_path / "tables.json"
    file.write_text(content)
    with pytest.raises(InputError):
        list(read_ddl(file))


def test_every_real_record_is_a_row_or_has_a_reason(benchmarks):
    records = list(read_synsql(benchmarks / "synsql" / "data.json"))
    assert len(records) == 1000
    thoughts = [think(record) for record in records if record]
    assert sum(isinstance(thought, Reason) for thought in thoughts) == 112
    assert all(thoughts)
