"""Samples from OpenAI-compatible endpoints: vLLM servers, Ollama, hosted models; one or several.

A request is retried, after growing pauses and at the next endpoint, if a server stalls, is
overloaded or sends an unusable answer. A request that no endpoint answers is returned with an error
and can be asked again later. Five cases differ:
- The server does not know a parameter that we can do without: it is asked again without it.
- The server completes fewer samples in a call than asked for: it is called several times.
- The prompt leaves too little room for the completion: it is asked again with the room it leaves.
- A server refuses this prompt (too long, a content filter): the error is final.
- A server refuses everybody (a wrong key, an unknown model), or no server answers any more: the
  requests that wait get the same error without being sent.
"""

import math
import os
import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from slmsql.sampling.chat_completions import (
    NEUTRAL,
    Answer,
    address,
    chat_request,
    read_answer,
)
from slmsql.sampling.constraining import Unconstrained
from slmsql.sampling.options import SamplerOptions
from slmsql.sampling.sampler import Completed, Request, Sample, SamplingParams
from slmsql.sampling.threads import RequestThreads

LONGEST_PAUSE = 30.0  # seconds between two tries, besides what a server asks for
LONGEST_ASKED = 300.0  # seconds that a server may ask to wait
GIVE_UP_AFTER = 5  # requests in a row that used up their retries: the servers are gone
OVERLOADED = (408, 409, 425, 429)  # and all from 500 on
PROMPT_REFUSED = (400, 413, 422)
# How servers name their limits when the prompt and `max_tokens` together are too long.
CONTEXT_LENGTH = re.compile(
    r"(?:context[ _]length|max_model_len|`max_new_tokens` must be)\D{1,20}(\d+)", re.IGNORECASE
)
LONGEST_COMPLETION = re.compile(r"at most (\d+) completion tokens")
# llama.cpp's server, of now and of early 2026, if `n` is larger than its number of slots.
MOST_COMPLETIONS = re.compile(
    r"'n': Value must be between 1 <= value <= (\d+)|n_cmpl cannot be greater than the number"
)
LIMIT_RENAMED = re.compile(r"max_tokens\W{0,3} is not supported|[Uu]se \W?max_completion_tokens")


@dataclass(frozen=True, slots=True)
class _Dialect:
    """Which parameters a server takes; all servers are first asked as vLLM is."""

    limit: str = "max_tokens"
    left_out: frozenset[str] = frozenset()
    most: int = 0
    """Completions that one call may ask for; 0: any number."""

    def body(self, request: Request, received: int, model: str) -> dict[str, Any]:
        body = chat_request(request, received, model)
        body[self.limit] = body.pop("max_tokens")
        body["n"] = min(body["n"], self.most or body["n"])
        return {name: value for name, value in body.items() if name not in self.left_out}

    def after(self, refusal: str, body: Mapping[str, Any]) -> "_Dialect | None":
        """What to try after this refusal; None if it is about something else."""
        if self.limit == "max_tokens" and LIMIT_RENAMED.search(refusal):
            return replace(self, limit="max_completion_tokens")
        if body["n"] > 1 and (most := MOST_COMPLETIONS.search(refusal)):
            return replace(self, most=int(most[1] or 1))
        named = {
            name
            for name, value in body.items()
            if (name == "stop" or value == NEUTRAL.get(name)) and re.search(rf"\b{name}\b", refusal)
        }
        return replace(self, left_out=self.left_out | named) if named else None


class _CallError(Exception):
    """A call gave no usable answer. Every request would meet the same error."""


class _Temporary(_CallError):
    """The next try may succeed."""

    def __init__(self, text: str, pause: float = 0.0) -> None:
        super().__init__(text)
        self.pause = pause
        """Seconds that the server asks to wait."""


class _Refused(_CallError):
    """The server does not take this prompt."""


class EndpointSampler:
    """Keeps up to `--concurrency` requests under way and returns answers as they arrive."""

    def __init__(self, options: SamplerOptions) -> None:
        import httpx  # takes a tenth of a second

        self._options = options
        self._unconstrained = Unconstrained()
        self._urls = [address(url) for url in options.endpoints]
        key = os.environ.get(options.key_env, "")
        self._client = httpx.Client(
            timeout=httpx.Timeout(options.timeout, connect=min(options.timeout, 10.0)),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(max_connections=options.concurrency),
        )
        self._threads = RequestThreads(options.concurrency, "endpoint")
        self._dialects: dict[str, _Dialect] = {}
        """By URL, once a server has answered."""
        self._submitted = 0
        self._failures = 0
        """Requests in a row that no endpoint answered."""
        self._stopped = (0, "")
        """The number of the last request that is not sent any more, and why."""
        self._closing = threading.Event()
        self._random = random.Random()

    def submit(self, request: Request) -> None:
        self._submitted += 1
        self._threads.submit(self._complete, request, self._submitted)

    def completed(self) -> list[Completed]:
        return self._threads.completed()

    def close(self) -> None:
        self._unconstrained.report()
        self._closing.set()  # no further tries
        self._threads.close()
        self._client.close()

    def _complete(self, request: Request, number: int) -> Completed:
        last, reason = self._stopped
        if number <= last:
            return Completed(request.key, (), error=reason, temporary=True, fatal=True)
        samples: list[Sample] = []
        prompt_tokens = 0
        seconds = 0.0
        try:
            # Some servers return one completion whatever `n` says: call until all are there.
            while len(samples) < request.n:
                request, answer = self._call_with_room(request, len(samples), number)
                samples += answer.samples
                prompt_tokens += answer.prompt_tokens
                seconds += answer.seconds
        except _CallError as error:
            fatal = self._is_fatal(error)
            if fatal:
                self._stopped = (self._submitted, str(error))
            return Completed(
                request.key,
                samples,
                prompt_tokens,
                error=str(error),
                temporary=not isinstance(error, _Refused),
                fatal=fatal,
            )
        return Completed(request.key, samples[: request.n], prompt_tokens, seconds)

    def _is_fatal(self, error: _CallError) -> bool:
        """Whether other requests will meet this error, which ended a request."""
        if isinstance(error, _Temporary):
            self._failures += 1
            return self._failures >= GIVE_UP_AFTER
        return not isinstance(error, _Refused)

    def _call_with_room(
        self, request: Request, received: int, number: int
    ) -> tuple[Request, Answer]:
        """The answer; if prompt and completion are too long together, to a shorter request."""
        try:
            return request, self._call(request, received, number)
        except _Refused as error:
            room = self._room(request, str(error), number)
            if not 0 < room < request.sampling.max_tokens:
                raise
        request = replace(request, sampling=replace(request.sampling, max_tokens=room))
        return request, self._call(request, received, number)

    def _room(self, request: Request, refusal: str, number: int) -> int:
        """The number of tokens that a completion may have by this refusal; 0 if it does not say.

        Servers do not always count the whole prompt, so a completion of one token finds out.

        Raises:
            _CallError: the prompt is too long even for that.
        """
        if longest := LONGEST_COMPLETION.search(refusal):
            return int(longest[1])
        if not (context := CONTEXT_LENGTH.search(refusal)):
            return 0
        shortest = replace(request, n=1, sampling=replace(request.sampling, max_tokens=1))
        return int(context[1]) - self._call(shortest, 0, number).prompt_tokens

    def _call(self, request: Request, received: int, number: int) -> Answer:
        """Call the endpoints in turn, from the request's own on, until one answers."""
        tries = self._options.retries + 1
        for attempt in range(tries):
            url = self._urls[(number - 1 + attempt) % len(self._urls)]
            try:
                answer = self._post(url, request, received)
            except _Temporary as error:
                pause = self._pause(attempt // len(self._urls), error.pause)
                if attempt == tries - 1 or self._closing.wait(pause):
                    raise
            except _Refused:
                self._failures = 0  # the server lives
                raise
            else:
                self._failures = 0
                return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _pause(self, turn: int, asked: float) -> float:
        """Seconds before the next try: longer each turn, and not the same for all requests."""
        longest = min(self._options.backoff * 2.0 ** min(turn, 30), LONGEST_PAUSE)
        return asked + self._random.uniform(longest / 2, longest)

    def _post(self, url: str, request: Request, received: int) -> Answer:
        """Call one endpoint, again if it does not know a parameter that we can do without."""
        dialect = self._dialects.get(url, _Dialect())
        while True:
            body = dialect.body(request, received, self._options.model) | self._constraint(request)
            try:
                answer = self._send(url, body, request.sampling)
            except _Refused as error:
                other = dialect.after(str(error), body)
                if other is None:
                    raise
                dialect = other
            else:
                self._dialects[url] = dialect
                return answer

    def _constraint(self, request: Request) -> dict[str, Any]:
        """The fields by which vLLM's and llama.cpp's servers constrain a completion."""
        grammar = self._unconstrained.grammar_of(request)
        if grammar is None:
            return {}
        return {"structured_outputs": {"grammar": grammar}, "grammar": grammar}

    def _send(self, url: str, body: Mapping[str, Any], sampling: SamplingParams) -> Answer:
        import httpx

        start = time.monotonic()
        try:
            response = self._client.post(url, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Temporary(f"{url}: {type(error).__name__} {error}") from error
        except UnicodeEncodeError as error:
            raise _Refused(f"the prompt is not valid Unicode: {error}") from error
        if response.status_code != 200:
            raise _status_error(url, response.status_code, response.text, response.headers)
        try:
            answer = read_answer(response.json(), sampling)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            text = f"{url}: unusable answer ({type(error).__name__} {error}): {response.text:.200}"
            raise _Temporary(text) from error
        return replace(answer, seconds=time.monotonic() - start)


def _status_error(url: str, status: int, text: str, headers: Mapping[str, str]) -> _CallError:
    message = f"{url}: status {status}: {text:.300}"
    if status in OVERLOADED or status >= 500:
        return _Temporary(message, _seconds_asked(headers.get("retry-after", "")))
    return _Refused(message) if status in PROMPT_REFUSED else _CallError(message)


def _seconds_asked(retry_after: str) -> float:
    """The seconds of a Retry-After header: a number or a date; 0 if it is neither."""
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _seconds_until(retry_after)
    return min(max(seconds, 0.0), LONGEST_ASKED) if math.isfinite(seconds) else 0.0


def _seconds_until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
