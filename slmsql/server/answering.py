"""From a request to its answer: what every route that answers questions shares."""

import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from slmsql.errors import InputError
from slmsql.server.admission import Admission, Busy
from slmsql.server.service import Reply, Service, make_question
from slmsql.server.uploaded_schema import UploadedSchemas

LONGEST_QUESTION = 2000  # characters
# What a database that is missing, damaged or being written raises.
DATABASE_ERRORS = (InputError, OSError, sqlite3.Error)


class AskRequest(BaseModel):
    """A question about a database of the server, or about a schema sent as text."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(min_length=1, max_length=LONGEST_QUESTION)]
    database: Annotated[
        str | None, Field(max_length=200, description="a name from /api/databases")
    ] = None
    ddl: Annotated[str | None, Field(max_length=100_000, description="CREATE TABLE statements")] = (
        None
    )
    evidence: Annotated[str, Field(max_length=4000, description="a hint, as in BIRD")] = ""


class UnreadableDatabase(Exception):
    """The database of a question is missing, damaged or being written."""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that the routes need."""

    service: Service
    databases: Mapping[str, Path]
    uploads: UploadedSchemas
    admission: Admission
    key: str
    """The key that /api and /v1 require; empty: none."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer, as HTTP says it."""

    status: int
    detail: str
    headers: Mapping[str, str] | None = None


def answer(ask_request: AskRequest, site: Site) -> Reply:
    """The answer to a request.

    Raises:
        InputError: the request is wrong.
        UnreadableDatabase: the server's database is missing, damaged or being written.
        RuntimeError: the sampler gave no answer.
    """
    with _database(ask_request, site) as (database, name):
        question = make_question(ask_request.question, database, name, ask_request.evidence)
        try:
            return site.service.ask(question)
        except DATABASE_ERRORS as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            raise UnreadableDatabase from error


def failure_of(error: Exception) -> Failure:
    """What HTTP says of an error of `answer` or of admission.

    Raises:
        Exception: the error itself, where it is none of those.
    """
    match error:
        case InputError():
            return Failure(422, str(error))
        case UnreadableDatabase():
            return Failure(503, "the database cannot be read now")
        case Busy():
            return Failure(503, str(error), {"Retry-After": "5"})
        case TimeoutError():
            return Failure(504, "no answer within the time limit")
        case RuntimeError():  # the sampler gave up
            return Failure(502, str(error))
    raise error


@contextmanager
def _database(ask_request: AskRequest, site: Site) -> Iterator[tuple[Path, str]]:
    """The file and the name of the database that a request asks about."""
    if (ask_request.database is None) == (ask_request.ddl is None):
        raise InputError("give either the name of a database or a schema as ddl")
    if ask_request.ddl is not None:
        with site.uploads.database(ask_request.ddl) as path:
            yield path, "schema"
        return
    name = ask_request.database or ""
    if name not in site.databases:
        raise InputError(f"there is no such database; there are {', '.join(site.databases)}")
    yield site.databases[name], name
