"""Any OpenAI-compatible endpoint: vLLM servers, Ollama, hosted models; several of them at once.

Each request is tried again, with growing pauses and at the next endpoint, when a server refuses,
stalls, is overloaded or answers what is no answer. What no endpoint answered comes back with an
error and can be asked again later; nothing is lost or made up.
"""

import os
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

from inference.sampling.options import SamplerOptions
from inference.sampling.sampler import Completed, Request, Sample, SamplingParams
from slmsql.errors import InputError

PATIENCE = 0.1  # seconds to wait for an answer before the caller may do something else
LONGEST_PAUSE = 30.0  # seconds
TOO_LONG = ("context length", "context_length", "too long", "maximum length", "max_model_len")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one call brought."""

    samples: tuple[Sample, ...]
    prompt_tokens: int


class _Failed(Exception):
    """A call brought nothing that can be used."""

    def __init__(self, text: str, *, again: bool = True, pause: float = 0.0) -> None:
        super().__init__(text)
        self.again = again
        """Whether trying again may help."""
        self.pause = pause
        """Seconds that the server asked to wait."""


class EndpointSampler:
    """Keeps a number of requests under way and hands over answers as they come."""

    def __init__(self, options: SamplerOptions) -> None:
        try:
            import httpx
        except ImportError as error:
            raise InputError("an endpoint needs httpx; pip install -e .[serve]") from error
        self._options = options
        self._urls = [_address(url) for url in options.endpoints]
        key = os.environ.get(options.key_env, "")
        self._client = httpx.Client(
            timeout=httpx.Timeout(options.timeout, connect=min(options.timeout, 10.0)),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(max_connections=options.concurrency),
        )
        self._threads = ThreadPoolExecutor(options.concurrency, thread_name_prefix="endpoint")
        self._turns = count()
        self._done: SimpleQueue[Future[Completed]] = SimpleQueue()
        self._pending = 0

    def submit(self, request: Request) -> None:
        self._pending += 1
        first = next(self._turns) % len(self._urls)
        self._threads.submit(self._work, request, first).add_done_callback(self._done.put)

    def completed(self) -> list[Completed]:
        done: list[Completed] = []
        try:
            while len(done) < self._pending:
                done.append(self._done.get(timeout=0 if done else PATIENCE).result())
        except Empty:
            pass
        self._pending -= len(done)
        return done

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._client.close()

    def _work(self, request: Request, first: int) -> Completed:
        samples: list[Sample] = []
        prompt_tokens = 0
        start = time.monotonic()
        try:
            # Some servers give one completion whatever `n` says: ask until all are there.
            while len(samples) < request.n:
                answer = self._call(request, len(samples), first)
                samples += answer.samples
                prompt_tokens += answer.prompt_tokens
        except _Failed as error:
            final = not error.again and any(words in str(error).lower() for words in TOO_LONG)
            return Completed(
                request.key, samples, prompt_tokens, error=str(error), temporary=not final
            )
        seconds = time.monotonic() - start
        return Completed(request.key, samples[: request.n], prompt_tokens, seconds)

    def _call(self, request: Request, have: int, first: int) -> _Answer:
        """One answer, from whichever endpoint gives it first."""
        tries = self._options.retries + 1
        for attempt in range(tries):
            url = self._urls[(first + attempt) % len(self._urls)]
            try:
                return self._ask(url, request, have)
            except _Failed as error:
                if not error.again or attempt == tries - 1:
                    raise
                growing = self._options.backoff * 2 ** (attempt // len(self._urls))
                time.sleep(min(max(growing, error.pause), LONGEST_PAUSE))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _ask(self, url: str, request: Request, have: int) -> _Answer:
        import httpx

        try:
            response = self._client.post(url, json=self._body(request, have))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Failed(f"{url}: {type(error).__name__} {error}") from error
        if response.status_code != 200:
            raise _refusal(url, response.status_code, response.text, response.headers)
        try:
            return _read(response.json(), request.sampling)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            text = f"{url}: no usable answer ({type(error).__name__} {error}): {response.text:.200}"
            raise _Failed(text) from error

    def _body(self, request: Request, have: int) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._options.model,
            "messages": request.messages,
            "n": request.n - have,
            "seed": request.seed + have,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.logprobs:
            body["logprobs"] = True
        return body


def _address(url: str) -> str:
    """`http://host:8000`, `.../v1` and the whole path are all taken."""
    url = url.rstrip("/")
    if url.endswith("/chat/completions"):
        return url
    return f"{url}/chat/completions" if "/v1" in url else f"{url}/v1/chat/completions"


def _refusal(url: str, status: int, text: str, headers: Mapping[str, str]) -> _Failed:
    again = status in (408, 409, 425, 429) or status >= 500
    pause = headers.get("retry-after", "")
    seconds = float(pause) if pause.isdigit() else 0.0
    return _Failed(f"{url}: status {status}: {text:.300}", again=again, pause=seconds)


def _read(answer: Any, sampling: SamplingParams) -> _Answer:
    choices = answer["choices"]
    if not choices:
        raise ValueError("no choices in it")
    usage = answer.get("usage") or {}
    tokens = int(usage.get("completion_tokens") or 0) // len(choices)
    samples = tuple(_sample(choice, tokens, sampling) for choice in choices)
    return _Answer(samples, int(usage.get("prompt_tokens") or 0))


def _sample(choice: Any, tokens: int, sampling: SamplingParams) -> Sample:
    message = choice["message"]
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise TypeError(f"content is {type(text).__name__}")
    # Servers that take reasoning models apart keep the thought in a field of its own.
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and "</think>" not in text:
        text = f"<think>\n{thought}\n</think>\n{text}"
    return Sample(_closed(text, choice.get("finish_reason"), sampling), tokens, _logprob(choice))


def _closed(text: str, reason: str | None, sampling: SamplingParams) -> str:
    """Put back the stop text, which servers take off."""
    for stop in sampling.stop:
        opening = stop.replace("</", "<")
        if reason == "stop" and opening in text and stop not in text:
            return text + stop
    return text


def _logprob(choice: Any) -> float | None:
    parts = (choice.get("logprobs") or {}).get("content") or []
    return sum(part["logprob"] for part in parts) / len(parts) if parts else None
