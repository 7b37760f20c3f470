"""Answer questions over HTTP, with a page at `/` to ask them on.

    python inference/serve.py --model MODEL --databases DIR [--merge_model MODEL] [--port 8642]

DIR has <name>.sqlite or <name>/<name>.sqlite. Everything runs read-only. The routes are described
at /openapi.json. With the environment variable SLMSQL_KEY set, /api asks for it as a bearer token.
"""

import asyncio
import importlib.util
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from inference.server.service import Service, ServiceOptions
from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.execution import connect


@dataclass(kw_only=True)
class Options(ServiceOptions):
    """Options of the server."""

    databases: Path = field(metadata={"help": "folder of databases that may be asked"})
    host: str = field(default="127.0.0.1", metadata={"help": "address; 0.0.0.0: all of them"})
    port: int = field(default=8642, metadata={"help": "port"})
    concurrent: int = field(default=32, metadata={"help": "questions answered at once"})
    waiting: int = field(default=200, metadata={"help": "questions that may wait beyond those"})
    answer_seconds: float = field(default=120.0, metadata={"help": "time for one answer"})
    server_key_env: str = field(
        default="SLMSQL_KEY", metadata={"help": "environment variable with the key to ask for"}
    )


def main(options: Options) -> None:
    """Load the models, then serve until told to stop; what is under way is finished."""
    databases = find_databases(options.databases)
    if not (importlib.util.find_spec("fastapi") and importlib.util.find_spec("uvicorn")):
        raise InputError("serving needs fastapi and uvicorn; pip install -e .[serve]")
    with tempfile.TemporaryDirectory(prefix="slmsql-") as uploads:
        _serve(Service(options), databases, Path(uploads), options)


def _serve(service: Service, databases: dict[str, Path], uploads: Path, options: Options) -> None:
    import uvicorn
    from fastapi import FastAPI

    from inference.server.admission import Admission
    from inference.server.routes import Site, build_app, server_key

    gate = Admission(
        concurrent=options.concurrent, waiting=options.waiting, seconds=options.answer_seconds
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        print(f"http://{options.host}:{options.port}: {len(databases)} databases", flush=True)
        yield
        await asyncio.to_thread(gate.close)
        await asyncio.to_thread(service.close)

    site = Site(service, databases, uploads, gate, server_key(options.server_key_env))
    uvicorn.run(
        build_app(site, lifespan),
        host=options.host,
        port=options.port,
        log_level="warning",
        timeout_graceful_shutdown=30,
        limit_concurrency=4 * (options.concurrent + options.waiting),
    )


def find_databases(folder: Path) -> dict[str, Path]:
    """The databases of a folder by name; each is checked to be one.

    Raises:
        FileNotFoundError: there is no such folder.
        InputError: it has no database, or a file in it is none.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    files = [*folder.glob("*.sqlite"), *folder.glob("*.db"), *folder.glob("*/*.sqlite")]
    found = {file.stem: file.absolute() for file in sorted(files)}
    if not found:
        raise InputError(f"{folder} has no NAME.sqlite and no NAME/NAME.sqlite")
    for file in found.values():
        connect(file).close()
    return found


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
