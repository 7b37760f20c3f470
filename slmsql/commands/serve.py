"""Answer questions over HTTP, with a page at `/` to ask them on.

    slmsql serve --endpoint http://localhost:11434 --databases DIR --port 8642

DIR contains NAME.sqlite, NAME/NAME.sqlite, NAME.duckdb or folders NAME of CSV, Parquet and JSON
files. Single databases may be named instead, and several at once; a database may also be a URL,
such as postgresql://ann@host/sales. All are opened read-only. /openapi.json describes the routes;
/v1/chat/completions serves chat front ends, each database as a model. If the environment variable
SLMSQL_KEY is set, /api and /v1 require its value as a bearer token.
"""

import asyncio
import importlib.util
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.errors import InputError
from slmsql.server.finding import find_databases
from slmsql.server.service import Service, ServiceOptions

BEARER_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
ESSENTIAL = ("databases", "endpoint", "model", "host", "port", "concurrent")


@dataclass(kw_only=True)
class Options:
    """Options of the server."""

    databases: list[Path] = field(
        metadata={"help": "folders of databases, or databases, to ask about"}
    )
    host: str = field(default="127.0.0.1", metadata={"help": "address to listen on; 0.0.0.0: all"})
    port: int = field(default=8642, metadata={"help": "port to listen on"})
    concurrent: int = field(default=32, metadata={"help": "number of questions answered at once"})
    waiting: int = field(default=200, metadata={"help": "number of questions that may wait"})
    answer_seconds: float = field(default=120.0, metadata={"help": "time limit of an answer"})
    server_key_env: str = field(
        default="SLMSQL_KEY",
        metadata={"help": "environment variable with the key that /api requires"},
    )
    service: ServiceOptions


def main(options: Options) -> None:
    """Load the models, then serve until a signal; finish the questions under way.

    Raises:
        InputError: the key has a character that a bearer token cannot have.
    """
    databases = find_databases(options.databases)
    key = check_key(options.server_key_env)
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        if not importlib.util.find_spec(package):
            raise InputError(f"serving needs {package}; pip install 'slmsql[serve]'")
    with tempfile.TemporaryDirectory(prefix="slmsql-") as uploads:
        _serve(Service(options.service), databases, Path(uploads), key, options)


def _serve(
    service: Service, databases: dict[str, Path], uploads: Path, key: str, options: Options
) -> None:
    import uvicorn
    from fastapi import FastAPI

    from slmsql.server.admission import Admission
    from slmsql.server.answering import Site
    from slmsql.server.connections import connection_class
    from slmsql.server.routes import build_app
    from slmsql.server.uploaded_schema import UploadedSchemas

    admission = Admission(
        concurrent=options.concurrent, waiting=options.waiting, seconds=options.answer_seconds
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        print(f"http://{options.host}:{options.port}: {len(databases)} databases", flush=True)
        yield
        await asyncio.to_thread(admission.close)
        await asyncio.to_thread(service.close)

    site = Site(service, databases, UploadedSchemas(uploads), admission, key)
    uvicorn.run(
        build_app(site, lifespan),
        host=options.host,
        port=options.port,
        log_level="warning",
        timeout_graceful_shutdown=30,
        http=connection_class(),
        ws="none",
    )


def check_key(variable: str) -> str:
    """The key that this environment variable holds; empty if it is not set.

    Raises:
        InputError: the key has a character that a bearer token cannot have.
    """
    key = os.environ.get(variable, "")
    if key and not BEARER_TOKEN.fullmatch(key):
        raise InputError(
            f"{variable} may contain only letters of ASCII, digits and -._~+/, with = at the end, "
            "as bearer tokens do (RFC 6750)"
        )
    return key
