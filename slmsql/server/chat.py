"""The server as a chat model: OpenAI's `/v1/chat/completions`, so that chat front ends can use it.

Each database is a model: `/v1/models` lists them, and the field `model` of a request picks one. The
question is the last message of the user; earlier messages and system prompts are not read. The
reply is the SQL, its result as a table, and how it was decided. Sampling is the server's own, so
`temperature` and the like are ignored.

Source: https://platform.openai.com/docs/api-reference/chat
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from slmsql.files import Record
from slmsql.server.answering import LONGEST_QUESTION, AskRequest, Failure, Site, failure_of
from slmsql.server.answering import answer as answer_request
from slmsql.server.reply import decision_text
from slmsql.server.service import Reply
from slmsql.server.table import table_text

LINE = 100  # characters of a table's line
KEEP_ALIVE_SECONDS = 5.0  # proxies close a stream that is silent for long
OWNER = "slmsql"


class TextPart(BaseModel):
    """A part of a message that is text; images and sound are not understood."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """A turn of the conversation."""

    role: str
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """The message as one text."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class Error(BaseModel):
    """Why there is no answer."""

    message: str
    type: Literal["server_error", "invalid_request_error"]
    param: None = None
    code: None = None


class Problem(BaseModel):
    """An error as clients of this API read it."""

    error: Error


ERRORS = {
    400: "the body is not JSON",
    401: "the key is missing or wrong",
    404: "there is no such database",
    411: "there is no Content-Length",
    413: "the body is too large",
    422: "a field is missing or wrong",
    502: "the model gave no answer",
    503: "the queue is full, or the database cannot be read",
    504: "no answer within the time limit",
}
STATUSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text} for status, text in ERRORS.items()
}


class StreamOptions(BaseModel):
    """What a stream contains besides the answer."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A chat of which the last message of the user is the question."""

    model: Annotated[str, Field(max_length=200, description="the name of a database")]
    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    n: Annotated[int, Field(ge=1, le=1, description="the server gives one answer")] = 1
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()

    @property
    def question(self) -> str:
        """The last message of the user, without space around it; empty if there is none."""
        texts = [message.text for message in self.messages if message.role == "user"]
        return texts[-1].strip() if texts else ""


def chat_routes(site: Site) -> APIRouter:
    """The routes below `/v1`."""
    routes = APIRouter()

    @routes.get("/v1/models", responses={401: STATUSES[401]})
    def models() -> Record:
        """The databases, each as a model."""
        cards = [
            {"id": name, "object": "model", "created": 0, "owned_by": OWNER}
            for name in site.databases
        ]
        return {"object": "list", "data": cards}

    @routes.post("/v1/chat/completions", responses=STATUSES)
    async def complete(chat: ChatRequest) -> Response:
        """The answer to the last message: SQL, its result, and how it was decided."""
        if failure := _fault(chat, site):
            return chat_error(failure)
        ask_request = AskRequest(question=chat.question, database=chat.model)
        try:
            reply = site.admission.begin(lambda asked: answer_request(asked, site), ask_request)
            if chat.stream:
                return StreamingResponse(_stream(reply, chat, site), media_type="text/event-stream")
            return JSONResponse(_completion(await reply, chat, site))
        except Exception as error:
            return chat_error(failure_of(error))

    return routes


def reply_text(reply: Reply) -> str:
    """The answer as Markdown: SQL and table stand in fences that no value can close."""
    table = table_text(reply.execution, width=LINE)
    return f"{_fenced(reply.prediction.sql, 'sql')}\n\n{_fenced(table)}\n\n{decision_text(reply)}"


def chat_error(failure: Failure) -> Response:
    """A failure in the shape that clients of this API read."""
    return JSONResponse(_error_record(failure), failure.status, headers=failure.headers)


def _fenced(text: str, language: str = "") -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _fault(chat: ChatRequest, site: Site) -> Failure | None:
    if chat.model not in site.databases:
        names = ", ".join(site.databases)
        return Failure(404, f"there is no such database; `model` is one of {names}")
    if not chat.question:
        return Failure(422, "no message of the user has text, and the last one is the question")
    if len(chat.question) > LONGEST_QUESTION:
        return Failure(422, f"a question may have at most {LONGEST_QUESTION} characters")
    return None


def _completion(reply: Reply, chat: ChatRequest, site: Site) -> Record:
    site.admission.count_tokens(reply.tokens)
    message = {"role": "assistant", "content": reply_text(reply)}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return _envelope("chat.completion", chat) | {"choices": [choice], "usage": _usage(reply)}


async def _stream(pending: Awaitable[Reply], chat: ChatRequest, site: Site) -> AsyncIterator[str]:
    """Events of an answer. The vote needs all candidates, so the text comes in one piece.

    If the client leaves, the server cancels this generator, and with it a question that waits.
    """
    envelope = _envelope("chat.completion.chunk", chat)
    yield _event(envelope | {"choices": [_delta({"role": "assistant", "content": ""})]})
    task = asyncio.ensure_future(pending)
    try:
        while not (await asyncio.wait({task}, timeout=KEEP_ALIVE_SECONDS))[0]:
            yield ": waiting\n\n"
        reply = task.result()
    except Exception as error:
        yield _event(_error_record(failure_of(error)))
        return
    finally:
        task.cancel()
    site.admission.count_tokens(reply.tokens)
    yield _event(envelope | {"choices": [_delta({"content": reply_text(reply)})]})
    yield _event(envelope | {"choices": [_delta({}, "stop")]})
    if chat.stream_options.include_usage:
        yield _event(envelope | {"choices": [], "usage": _usage(reply)})
    yield "data: [DONE]\n\n"


def _envelope(kind: str, chat: ChatRequest) -> Record:
    identity = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": identity, "object": kind, "created": int(time.time()), "model": chat.model}


def _delta(delta: Record, reason: str | None = None) -> Record:
    return {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}


def _usage(reply: Reply) -> Record:
    """Tokens sampled for all candidates; the prompt's are not counted."""
    return {
        "prompt_tokens": 0,
        "completion_tokens": reply.tokens,
        "total_tokens": reply.tokens,
    }


def _event(record: Record) -> str:
    return f"data: {json.dumps(record)}\n\n"


def _error_record(failure: Failure) -> Record:
    kind: Literal["server_error", "invalid_request_error"]
    kind = "server_error" if failure.status >= 500 else "invalid_request_error"
    return Problem(error=Error(message=failure.detail, type=kind)).model_dump()
