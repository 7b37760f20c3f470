"""Databases as tools of an assistant, over the Model Context Protocol.

    slmsql mcp --databases DIR
    slmsql mcp --databases DIR --endpoint http://127.0.0.1:8000

An assistant starts the program itself and talks to it over standard input and output; its settings
name the command, as docs/inference.md shows. The tools are `list_databases`, `list_tables`,
`describe_table`, `run_query` and, if a model is given, `ask`, which turns a question into SQL.
Queries only read, and their time, memory and rows are limited.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import Executor
from slmsql.server.finding import find_databases
from slmsql.server.service import Service, ServiceOptions


@dataclass(kw_only=True)
class Options:
    """Options of the server."""

    databases: list[Path] = field(metadata={"help": "folders of databases, or databases, to offer"})
    service: ServiceOptions


def main(options: Options) -> None:
    """Load the model, if there is one, then serve until standard input ends.

    Raises:
        InputError: a package is missing, or the databases or the model are wrong.
    """
    if not importlib.util.find_spec("mcp"):
        raise InputError("this program needs the package mcp; pip install 'slmsql[mcp]'")
    from slmsql.server.tools import add_ask, build_server

    databases = find_databases(options.databases)
    with contextlib.ExitStack() as stack:
        if options.service.sampler.names_a_model:
            with _stdout_to_stderr():
                service = Service(options.service)
            stack.callback(service.close)
            server = build_server(databases, service.executor)
            add_ask(server, databases, service)
        else:
            workers = options.service.workers or None
            executor = Executor(workers=workers, limits=options.service.limits)
            server = build_server(databases, stack.enter_context(executor))
        print(f"{len(databases)} databases", file=sys.stderr, flush=True)
        server.run("stdio")


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """What libraries print while a model loads must not get between the messages."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
