"""Answer questions over HTTP, with a page at `/` to ask them on.

    python inference/serve.py --model MODEL --databases DIR --port 8642

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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from inference.server.service import Service, ServiceOptions
from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.execution import check_usable
from slmsql.execution.engines.address import TABLE_FILES, is_url, name_of, table_files

FILES = ("*.sqlite", "*.db", "*.duckdb", "*/*.sqlite", "*/*.duckdb")
BEARER_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


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
            raise InputError(f"serving needs {package}; pip install -e .[serve]")
    with tempfile.TemporaryDirectory(prefix="slmsql-") as uploads:
        _serve(Service(options.service), databases, Path(uploads), key, options)


def _serve(
    service: Service, databases: dict[str, Path], uploads: Path, key: str, options: Options
) -> None:
    import uvicorn
    from fastapi import FastAPI

    from inference.server.admission import Admission
    from inference.server.answering import Site
    from inference.server.connections import connection_class
    from inference.server.routes import build_app
    from inference.server.uploaded_schema import UploadedSchemas

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


def find_databases(places: Sequence[Path]) -> dict[str, Path]:
    """The databases at some places, by name.

    Args:
        places: databases, and folders of databases.

    Raises:
        FileNotFoundError: a place does not exist.
        InputError: a folder contains no database, two databases have one name, or one of them
            cannot be used.
    """
    databases: dict[str, Path] = {}
    for database in chain.from_iterable(map(_databases_at, places)):
        name = name_of(database)
        if databases.setdefault(name, database) != database:
            raise InputError(f"{databases[name]} and {database} are both called {name!r}")
    for database in databases.values():
        check_usable(database)
    return databases


def _databases_at(place: Path) -> list[Path]:
    if is_url(place):
        return [place]
    if place.is_file() or (place.is_dir() and table_files(place)):
        return [place.absolute()]
    if not place.is_dir():
        raise FileNotFoundError(f"no folder {place}")
    files = [file for pattern in FILES for file in place.glob(pattern)]
    folders = {file.parent for file in place.glob("*/*") if file.suffix in TABLE_FILES}
    found = sorted({*files, *(folder for folder in folders if not _has_database(folder))})
    if not found:
        raise InputError(f"{place} has no NAME.sqlite and no NAME/NAME.sqlite")
    return [database.absolute() for database in found]


def _has_database(folder: Path) -> bool:
    return any(folder.glob("*.sqlite")) or any(folder.glob("*.duckdb"))


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
