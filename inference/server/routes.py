"""The server's routes: requests are bounded in size, replies are plain JSON."""

import asyncio
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
from inference.server.service import Service, make_question
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


class AskRequest(BaseModel):
    """A question about a database of the server, or about a schema sent as text."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(min_length=1, max_length=2000)]
    database: Annotated[
        str | None, Field(max_length=200, description="a name from /api/databases")
    ] = None
    ddl: Annotated[str | None, Field(max_length=100_000, description="CREATE TABLE statements")] = (
        None
    )
    evidence: Annotated[str, Field(max_length=4000, description="a hint, as in BIRD")] = ""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that the routes need."""

    service: Service
    databases: Mapping[str, Path]
    uploads: Path
    """Folder for the databases made from schemas that clients send."""
    admission: Admission
    key: str
    """The key that /api requires; empty: none."""


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_app(site: Site, lifespan: Lifespan | None = None) -> FastAPI:
    """The application, without FastAPI's documentation pages, which load scripts from elsewhere."""
    app = FastAPI(title="Text to SQL", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.middleware("http")(_limit_body)
    _add_pages(app)
    _add_state(app, site)
    _add_api(app, site)
    return app


async def _limit_body(
    request: Request, handle: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Refuse a body over the limit before it is read, and set the headers of every response."""
    size = request.headers.get("content-length", "")
    if request.method == "POST" and not size.isdigit():
        response: Response = JSONResponse({"detail": "Content-Length is required"}, 411)
    elif size.isdigit() and int(size) > BODY_BYTES:
        response = JSONResponse({"detail": f"the body may have at most {BODY_BYTES} bytes"}, 413)
    else:
        response = await handle(request)
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
        """Whether the server can answer questions."""
        alive = site.service.is_alive
        return JSONResponse({"status": "ok" if alive else "stopped"}, 200 if alive else 503)

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        """Counts since the start, in Prometheus's text format."""
        return PlainTextResponse(site.admission.metrics())


def _add_api(app: FastAPI, site: Site) -> None:
    def authorised(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if site.key and not compare_digest(given.encode(), site.key.encode()):
            raise HTTPException(401, "this server requires a key")

    @app.get("/api/databases", dependencies=[Depends(authorised)])
    def databases() -> list[Record]:
        """The databases that can be asked about, with their tables."""
        return [_description(name, path) for name, path in site.databases.items()]

    @app.post("/api/ask", dependencies=[Depends(authorised)])
    async def ask(ask_request: AskRequest) -> Record:
        """The SQL of a question, its rows, and how it was decided."""
        try:
            question = await asyncio.to_thread(_question, ask_request, site)
            reply = await site.admission.run(site.service.ask, question)
        except InputError as error:
            raise HTTPException(422, str(error)) from error
        except Busy as error:
            raise HTTPException(503, str(error), headers={"Retry-After": "5"}) from error
        except TimeoutError as error:
            raise HTTPException(504, "no answer within the time limit") from error
        except RuntimeError as error:  # the sampler gave up
            raise HTTPException(502, str(error)) from error
        site.admission.count_tokens(reply.tokens)
        return reply_record(reply)


def _question(ask_request: AskRequest, site: Site) -> Question:
    text, evidence = ask_request.question, ask_request.evidence
    if (ask_request.database is None) == (ask_request.ddl is None):
        raise InputError("give either the name of a database or a schema as ddl")
    if ask_request.ddl is not None:
        path = database_from_ddl(ask_request.ddl, site.uploads)
        return make_question(text, path, "schema", evidence)
    name = ask_request.database or ""
    if name not in site.databases:
        raise InputError(f"no database {name!r}; there are {', '.join(site.databases)}")
    return make_question(text, site.databases[name], name, evidence)


def _description(name: str, path: Path) -> dict[str, Any]:
    tables = read_schema(path, sample_values=0).tables
    return {
        "name": name,
        "tables": [
            {"name": table.name, "columns": [column.name for column in table.columns]}
            for table in tables
        ],
    }
