"""The tools of an assistant over databases, for a server of the Model Context Protocol."""

import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio.to_thread
from pydantic import Field

from slmsql.errors import InputError
from slmsql.execution import Execution, Executor, Statement
from slmsql.execution.engines.address import dialect_of
from slmsql.files import Record
from slmsql.schema.reading import read_schema
from slmsql.server.cells import cell
from slmsql.server.reply import reply_record
from slmsql.server.service import Service, make_question

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

Result = TypeVar("Result")
MOST_ROWS = 1000  # of one result
INSTRUCTIONS = (
    "Read-only SQL databases. Look at the tables before you write a query, write it in the "
    "database's dialect, and quote names with spaces: in MySQL in backticks, else in double quotes."
)
Database = Annotated[str, Field(description="a name from list_databases")]
Rows = Annotated[int, Field(ge=1, le=MOST_ROWS, description="number of rows to return")]


class Databases:
    """Databases by name, and what the tools read of them."""

    def __init__(self, paths: Mapping[str, Path], executor: Executor) -> None:
        self._paths = paths
        self._executor = executor

    def path(self, name: str) -> Path:
        """The file of a database.

        Raises:
            InputError: there is no such database.
        """
        if name not in self._paths:
            raise InputError(f"no database {name!r}; there are {', '.join(self._paths)}")
        return self._paths[name]

    def tables(self, name: str) -> list[Record]:
        """The tables of a database with their columns."""
        schema = read_schema(self.path(name), sample_values=0)
        return [
            {"name": table.name, "columns": [column.name for column in table.columns]}
            for table in schema.tables
        ]

    def table_text(self, name: str, table: str) -> str:
        """A table as a CREATE TABLE statement with sample values."""
        schema = read_schema(self.path(name))
        return f"-- {schema.dialect.label}\n{schema.one_table(table).text()}"

    def run(self, name: str, sql: str, rows: int) -> Record:
        """The result of a query."""
        (execution,) = self._executor.run([Statement(self.path(name), sql)], preview=rows)
        return result_record(execution)

    def answer(self, service: Service, name: str, question: str, evidence: str) -> Record:
        """The answer to a question."""
        return reply_record(service.ask(make_question(question, self.path(name), name, evidence)))


def result_record(execution: Execution) -> Record:
    """A result as JSON.

    Raises:
        InputError: the query did not run.
    """
    if not execution.ok:
        raise InputError(f"{execution.status.value}: {execution.error}")
    return {
        "columns": list(execution.columns),
        "rows": [[cell(value) for value in row] for row in execution.rows],
        "row_count": execution.row_count,
    }


def build_server(databases: Mapping[str, Path], executor: Executor) -> "MCPServer[Any]":
    """A server with the tools that need no model."""
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("slmsql", instructions=INSTRUCTIONS, log_level="WARNING")
    source = Databases(databases, executor)

    @server.tool()
    async def list_databases() -> list[Record]:
        """The names of the databases, each with its SQL dialect."""
        return [
            {"name": name, "dialect": dialect_of(path).label} for name, path in databases.items()
        ]

    @server.tool()
    async def list_tables(database: Database) -> list[Record]:
        """The tables of a database with the names of their columns."""
        return await _in_thread(source.tables, database)

    @server.tool()
    async def describe_table(
        database: Database, table: Annotated[str, Field(description="the name of a table")]
    ) -> str:
        """A table as a CREATE TABLE statement: types, keys, descriptions and sample values."""
        return await _in_thread(source.table_text, database, table)

    @server.tool()
    async def run_query(
        database: Database,
        sql: Annotated[str, Field(description="one SELECT statement in the database's dialect")],
        rows: Rows = 100,
    ) -> Record:
        """Run a query. It can only read; `row_count` counts all rows, also those not returned."""
        return await _in_thread(source.run, database, sql, rows)

    return server


def add_ask(server: "MCPServer[Any]", databases: Mapping[str, Path], service: Service) -> None:
    """Add the tool that answers questions with the model."""
    source = Databases(databases, service.executor)

    @server.tool()
    async def ask(
        database: Database,
        question: Annotated[str, Field(min_length=1, max_length=2000)],
        evidence: Annotated[str, Field(max_length=4000, description="what to know for it")] = "",
    ) -> Record:
        """Answer a question about a database: the SQL, its rows, and how sure the vote was."""
        return await _in_thread(source.answer, service, database, question, evidence)


async def _in_thread(call: Callable[..., Result], *arguments: object) -> Result:
    """Run a call on a thread; what goes wrong becomes a message for the assistant.

    Raises:
        ToolError: the request is wrong, the database cannot be read, or the model gave no answer.
    """
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        return await anyio.to_thread.run_sync(call, *arguments)
    except (InputError, RuntimeError) as error:
        raise ToolError(str(error)) from error
    except (OSError, sqlite3.Error) as error:
        print(error, file=sys.stderr, flush=True)
        raise ToolError("the database cannot be read now") from error
