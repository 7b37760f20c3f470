"""The server's routes: requests are bounded in size, replies are plain JSON."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from hmac import compare_digest
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel

from slmsql.execution.engines.address import dialect_of
from slmsql.files import Record
from slmsql.page import STYLESHEET
from slmsql.schema.reading import read_schema
from slmsql.server.answering import (
    DATABASE_ERRORS,
    AskRequest,
    Failure,
    Site,
    answer,
    failure_of,
)
from slmsql.server.chat import ChatRequest, chat_error, chat_routes
from slmsql.server.reply import reply_record

PAGE = Path(__file__).parent / "page"
BODY_BYTES = 256 * 1024
PROTECTED = ("/api", "/v1")  # the paths that need the key, if there is one
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


STATUSES: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the body is not JSON"},
    401: {"model": Problem, "description": "the key is missing or wrong"},
    411: {"model": Problem, "description": "there is no Content-Length"},
    413: {"model": Problem, "description": "the body is too large"},
    422: {"model": Problem, "description": "a field is missing or wrong"},
    502: {"model": Problem, "description": "the model gave no answer"},
    503: {"model": Problem, "description": "the queue is full, or the database cannot be read"},
    504: {"model": Problem, "description": "no answer within the time limit"},
}


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Handler = Callable[[Request], Awaitable[Response]]


def build_app(site: Site, lifespan: Lifespan | None = None) -> FastAPI:
    """The application, without FastAPI's documentation pages, which load scripts from elsewhere."""
    app = FastAPI(title="Text to SQL", docs_url=None, redoc_url=None, lifespan=lifespan)

    @app.middleware("http")
    async def check(request: Request, handle: Handler) -> Response:
        """Refuse what can be refused before the body is read; set the headers of each response."""
        response = _refusal(request, site.key) or await handle(request)
        response.headers.update(HEADERS)
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _problem(request, 422, _complaint(request, error))

    _add_pages(app)
    _add_state(app, site)
    _add_api(app, site)
    app.include_router(chat_routes(site))
    return app


def _refusal(request: Request, key: str) -> Response | None:
    size = request.headers.get("content-length", "")
    has_size = size.isascii() and size.isdigit() and len(size) <= 20
    # Not request.url: that is made from the Host header too, which the client chooses.
    if key and request.scope["path"].startswith(PROTECTED) and not _has_key(request, key):
        return _problem(request, 401, "this server requires a key", {"WWW-Authenticate": "Bearer"})
    if request.method == "POST" and not has_size:
        return _problem(request, 411, "Content-Length is required")
    if has_size and int(size) > BODY_BYTES:
        return _problem(request, 413, f"the body may have at most {BODY_BYTES} bytes")
    return None


def _has_key(request: Request, key: str) -> bool:
    """Whether the request has the key as a bearer token (RFC 6750)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and compare_digest(token.strip().encode(), key.encode())


def _complaint(request: Request, error: RequestValidationError) -> str:
    """What is wrong with a request, in words of ours: its own may not be text that can be sent."""
    fields = (ChatRequest if _is_chat(request) else AskRequest).model_fields
    complaints = []
    for fault in error.errors():
        name = next((part for part in fault["loc"][1:] if part in fields), None)
        if fault["type"] == "extra_forbidden":
            complaints.append(f"an unknown field; the fields are {', '.join(fields)}")
        elif fault["type"] == "json_invalid":
            complaints.append("the body is not valid JSON")
        else:
            complaints.append(f"{name or 'the body'}: {fault['msg']}")
    return "; ".join(dict.fromkeys(complaints))


def _is_chat(request: Request) -> bool:
    path: str = request.scope["path"]
    return path.startswith("/v1")


def _problem(
    request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    if _is_chat(request):
        return chat_error(Failure(status, detail, headers))
    return JSONResponse({"detail": detail}, status, headers=headers)


def _add_pages(app: FastAPI) -> None:
    pages = {"/": PAGE / "index.html", "/page.css": STYLESHEET}
    pages |= {f"/{script.name}": script for script in PAGE.glob("*.js")}
    for route, path in pages.items():
        app.get(route, include_in_schema=False)(_file(path))


def _file(path: Path) -> Callable[[], FileResponse]:
    def send() -> FileResponse:
        return FileResponse(path)

    return send


def _add_state(app: FastAPI, site: Site) -> None:
    # Both are coroutines, so that they answer while every thread is busy.
    @app.get("/health", responses={503: {"description": "the model has failed"}})
    async def health() -> JSONResponse:
        """Whether the server can answer questions."""
        alive = site.service.is_alive
        return JSONResponse({"status": "ok" if alive else "stopped"}, 200 if alive else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counts since the start, in Prometheus's text format."""
        return PlainTextResponse(site.admission.metrics())


def _add_api(app: FastAPI, site: Site) -> None:
    @app.get("/api/databases", responses={401: STATUSES[401]})
    def databases() -> list[Record]:
        """The databases that can be asked about, with their tables."""
        return [_description(name, path) for name, path in site.databases.items()]

    @app.post("/api/ask", responses=STATUSES)
    async def ask(ask_request: AskRequest) -> Record:
        """The SQL of a question, its rows, and how it was decided."""
        try:
            reply = await site.admission.begin(lambda asked: answer(asked, site), ask_request)
        except Exception as error:
            failure = failure_of(error)
            raise HTTPException(failure.status, failure.detail, headers=failure.headers) from error
        site.admission.count_tokens(reply.tokens)
        return reply_record(reply)


def _description(name: str, path: Path) -> dict[str, Any]:
    """A database with its tables; one that cannot be read has none, and says so."""
    dialect = dialect_of(path).label
    try:
        tables = read_schema(path, sample_values=0).tables
    except DATABASE_ERRORS as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return {
            "name": name,
            "dialect": dialect,
            "tables": [],
            "error": "the database cannot be read now",
        }
    return {
        "name": name,
        "dialect": dialect,
        "tables": [
            {
                "name": table.name,
                "columns": [column.name for column in table.columns],
                "primary_key": table.primary_key,
                "foreign_keys": [asdict(key) for key in table.foreign_keys],
            }
            for table in tables
        ],
    }
