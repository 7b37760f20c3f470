"""The server's routes: what comes in is bounded, what goes out is plain JSON."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from inference.server.admission import Admission, Busy
from inference.server.reply import reply_record
from inference.server.service import Service, question_of
from inference.server.uploaded_schema import database_from_ddl
from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.questions.question import Question
from slmsql.schema.reading import read_schema

PAGE = Path(__file__).parent / "page"
BODY_BYTES = 256 * 1024
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Asked(BaseModel):
    """A question over a database of the server, or over a schema given as text."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(min_length=1, max_length=2000)]
    database: Annotated[
        str | None, Field(max_length=200, description="a name of /api/databases")
    ] = None
    ddl: Annotated[str | None, Field(max_length=100_000, description="CREATE TABLE statements")] = (
        None
    )
    evidence: Annotated[str, Field(max_length=4000, description="a hint, as in BIRD")] = ""


@dataclass(frozen=True, slots=True)
class Site:
    """What the routes work with."""

    service: Service
    databases: Mapping[str, Path]
    uploads: Path
    """Folder for databases made of schemas that clients send."""
    gate: Admission
    key: str
    """What /api asks for; empty: nothing."""


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_app(site: Site, lifespan: Lifespan | None = None) -> FastAPI:
    """The application; its own documentation page is left out, since it loads foreign scripts."""
    app = FastAPI(title="Text to SQL", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.middleware("http")(_bounded)
    _add_pages(app)
    _add_state(app, site)
    _add_api(app, site)
    return app


def server_key(name: str) -> str:
    """The key in the environment variable of this name; empty if it is not set."""
    return os.environ.get(name, "")


async def _bounded(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse bodies over the limit before they are read, and set headers."""
    size = request.headers.get("content-length", "")
    if request.method == "POST" and not size.isdigit():
        response: Response = JSONResponse({"detail": "say how long the body is"}, 411)
    elif size.isdigit() and int(size) > BODY_BYTES:
        response = JSONResponse({"detail": f"at most {BODY_BYTES} bytes"}, 413)
    else:
        response = await follow(request)
    response.headers.update(HEADERS)
    return response


def _add_pages(app: FastAPI) -> None:
    for route, name in (("/", "index.html"), ("/page.js", "page.js"), ("/page.css", "page.css")):
        app.get(route, include_in_schema=False)(_file(PAGE / name))


def _file(path: Path) -> Callable[[], FileResponse]:
    def send() -> FileResponse:
        return FileResponse(path)

    return send


def _add_state(app: FastAPI, site: Site) -> None:
    @app.get("/health")
    def health() -> JSONResponse:
        """Whether questions can be answered."""
        alive = site.service.is_alive
        return JSONResponse({"status": "ok" if alive else "stopped"}, 200 if alive else 503)

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        """Counts since the start, in the text form that Prometheus reads."""
        return PlainTextResponse(site.gate.metrics())


def _add_api(app: FastAPI, site: Site) -> None:
    def authorised(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if site.key and not compare_digest(given.encode(), site.key.encode()):
            raise HTTPException(401, "this server asks for a key")

    @app.get("/api/databases", dependencies=[Depends(authorised)])
    def databases() -> list[Record]:
        """The databases that can be asked, with their tables."""
        return [_described(name, path) for name, path in site.databases.items()]

    @app.post("/api/ask", dependencies=[Depends(authorised)])
    async def ask(asked: Asked) -> Record:
        """The SQL of a question, its rows, and how it was decided."""
        try:
            question = await asyncio.to_thread(_question, asked, site)
            reply = await site.gate.run(site.service.ask, question)
        except InputError as error:
            raise HTTPException(422, str(error)) from error
        except Busy as error:
            raise HTTPException(503, str(error), headers={"Retry-After": "5"}) from error
        except TimeoutError as error:
            raise HTTPException(504, "no answer within the time allowed") from error
        except RuntimeError as error:  # the sampler gave up
            raise HTTPException(502, str(error)) from error
        site.gate.count_tokens(reply.tokens)
        return reply_record(reply)


def _question(asked: Asked, site: Site) -> Question:
    if (asked.database is None) == (asked.ddl is None):
        raise InputError("give either the name of a database or a schema as ddl")
    if asked.ddl is not None:
        path = database_from_ddl(asked.ddl, site.uploads)
        return question_of(asked.question, path, "schema", asked.evidence)
    name = asked.database or ""
    if name not in site.databases:
        raise InputError(f"no database {name!r}; there are {', '.join(site.databases)}")
    return question_of(asked.question, site.databases[name], name, asked.evidence)


def _described(name: str, path: Path) -> dict[str, Any]:
    tables = read_schema(path, sample_values=0).tables
    return {
        "name": name,
        "tables": [
            {"name": table.name, "columns": [column.name for column in table.columns]}
            for table in tables
        ],
    }
