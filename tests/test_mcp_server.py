"""The MCP server as an assistant uses it: started over standard input, with mcp's own client."""

import hashlib
import subprocess
import sys

import anyio
import pytest
from mcp import Client, StdioServerParameters

from slmsql.execution import create_database
from tests.running_server import ROOT, SHOP, answer
from tests.stand_in import Server

pytestmark = pytest.mark.slow  # each test starts programs

WRITES = [
    "DELETE FROM artist",
    "INSERT INTO artist VALUES (9, 'x')",
    "DROP TABLE artist",
    "PRAGMA writable_schema = 1",
    "ATTACH '/etc/passwd' AS x",
    "SELECT load_extension('x')",
    "SELECT 1; DELETE FROM artist",
    "VACUUM INTO '/tmp/copy-of-the-shop'",
]


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("databases")
    create_database(folder / "shop.sqlite", SHOP)
    return folder


def command(databases, *words):
    program = ["inference/mcp_server.py", "--databases", str(databases), "--seconds", "1", *words]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    return StdioServerParameters(
        command=sys.executable, args=program, cwd=str(ROOT), env=environment
    )


def calls(databases, requests, *words):
    """The names of the tools, and the results of these calls, in one session."""

    async def talk():
        async with Client(command(databases, *words), read_timeout_seconds=60) as client:
            tools = (await client.list_tools()).tools
            return [tool.name for tool in tools], [
                await client.call_tool(name, arguments) for name, arguments in requests
            ]

    return anyio.run(talk)


def text(result):
    return "\n".join(block.text for block in result.content)


def test_each_tool_answers_and_hostile_queries_change_nothing(databases):
    file = databases / "shop.sqlite"
    before = hashlib.sha256(file.read_bytes()).digest()
    many = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT i FROM n"
    )
    endless = many.replace(" LIMIT 500", "").replace("SELECT i FROM", "SELECT count(*) FROM")
    requests = [
        ("list_databases", {}),
        ("list_tables", {"database": "shop"}),
        ("describe_table", {"database": "shop", "table": "ALBUM"}),
        ("run_query", {"database": "shop", "sql": "SELECT name FROM artist WHERE id = 1"}),
        ("run_query", {"database": "shop", "sql": many, "rows": 3}),
        ("list_tables", {"database": "../shop"}),
        ("describe_table", {"database": "shop", "table": "nowhere"}),
        ("run_query", {"database": "shop", "sql": "SELECT nam FROM artist"}),
        ("run_query", {"database": "shop", "sql": endless}),
        ("run_query", {"database": "shop", "sql": many, "rows": 10**9}),
        *(("run_query", {"database": "shop", "sql": sql}) for sql in WRITES),
        ("run_query", {"database": "shop", "sql": "SELECT count(*) FROM artist"}),
    ]
    tools, results = calls(databases, requests)
    assert tools == ["list_databases", "list_tables", "describe_table", "run_query"]
    names, tables, album, one, three, *wrong = results
    assert names.structured_content == {"result": [{"name": "shop", "dialect": "SQLite"}]}
    assert tables.structured_content["result"][0] == {"name": "artist", "columns": ["id", "name"]}
    assert "REFERENCES artist" in text(album)
    assert "'Rock'" in text(album)
    assert one.structured_content == {"columns": ["name"], "rows": [["AC/DC"]], "row_count": 1}
    assert three.structured_content["rows"] == [[1], [2], [3]]
    assert three.structured_content["row_count"] == 500
    *wrong, last = wrong
    assert all(result.is_error for result in wrong)
    for result, message in zip(
        wrong,
        ("there are shop", "there are artist, album", "no such column: nam", "timeout", "1000"),
        strict=False,
    ):
        assert message in text(result)
    assert last.structured_content["rows"] == [[2]]
    assert hashlib.sha256(file.read_bytes()).digest() == before


def test_a_question_is_answered_if_there_is_a_model(databases):
    model = Server(always=answer)
    words = ("--model", "m", "--endpoints", model.url, "--retries", "0")
    requests = [
        ("ask", {"database": "shop", "question": "How many albums?"}),
        ("ask", {"database": "shop", "question": ""}),
    ]
    tools, (reply, empty) = calls(databases, requests, *words)
    assert tools[-1] == "ask"
    assert reply.structured_content["rows"] == [["<b>Bold</b>", 1], ["AC/DC", 2]]
    assert reply.structured_content["decided_by"] == "unanimous"
    assert empty.is_error
    model.shutdown()


def test_a_folder_without_databases_is_one_line(tmp_path):
    program = [sys.executable, "inference/mcp_server.py", "--databases", str(tmp_path)]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "has no NAME.sqlite" in run.stderr
    assert not run.stdout
