"""Samples from OpenAI-compatible endpoints: vLLM servers, Ollama, hosted models; one or several.

A request is retried, after growing pauses and at the next endpoint, if a server refuses it, stalls,
is overloaded or sends an unusable answer. A request that no endpoint answers is returned with an
error and can be asked again later.
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

WAIT = 0.1  # seconds that `completed` waits for an answer
LONGEST_PAUSE = 30.0  # seconds
TOO_LONG = ("context length", "context_length", "too long", "maximum length", "max_model_len")


@dataclass(frozen=True, slots=True)
class _Answer:
    """The samples of one call."""

    samples: tuple[Sample, ...]
    prompt_tokens: int


class _CallError(Exception):
    """A call gave no usable answer."""

    def __init__(self, text: str, *, can_retry: bool = True, pause: float = 0.0) -> None:
        super().__init__(text)
        self.can_retry = can_retry
        self.pause = pause
        """Seconds that the server asks to wait."""


class EndpointSampler:
    """Keeps up to `--concurrency` requests under way and returns answers as they arrive."""

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
        self._request_numbers = count()
        self._done: SimpleQueue[Future[Completed]] = SimpleQueue()
        self._pending = 0

    def submit(self, request: Request) -> None:
        self._pending += 1
        first = next(self._request_numbers) % len(self._urls)
        self._threads.submit(self._complete, request, first).add_done_callback(self._done.put)

    def completed(self) -> list[Completed]:
        done: list[Completed] = []
        try:
            while len(done) < self._pending:
                done.append(self._done.get(timeout=0 if done else WAIT).result())
        except Empty:
            pass
        self._pending -= len(done)
        return done

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._client.close()

    def _complete(self, request: Request, first: int) -> Completed:
        samples: list[Sample] = []
        prompt_tokens = 0
        start = time.monotonic()
        try:
            # Some servers return one completion whatever `n` says: call until all are there.
            while len(samples) < request.n:
                answer = self._call(request, len(samples), first)
                samples += answer.samples
                prompt_tokens += answer.prompt_tokens
        except _CallError as error:
            text = str(error)
            is_final = not error.can_retry and any(words in text.lower() for words in TOO_LONG)
            return Completed(
                request.key, samples, prompt_tokens, error=text, temporary=not is_final
            )
        seconds = time.monotonic() - start
        return Completed(request.key, samples[: request.n], prompt_tokens, seconds)

    def _call(self, request: Request, received: int, first: int) -> _Answer:
        """Call the endpoints in turn, from number `first` on, until one answers."""
        tries = self._options.retries + 1
        for attempt in range(tries):
            url = self._urls[(first + attempt) % len(self._urls)]
            try:
                return self._post(url, request, received)
            except _CallError as error:
                if not error.can_retry or attempt == tries - 1:
                    raise
                pause = self._options.backoff * 2 ** (attempt // len(self._urls))
                time.sleep(min(max(pause, error.pause), LONGEST_PAUSE))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _post(self, url: str, request: Request, received: int) -> _Answer:
        import httpx

        try:
            response = self._client.post(url, json=self._body(request, received))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _CallError(f"{url}: {type(error).__name__} {error}") from error
        if response.status_code != 200:
            raise _refusal(url, response.status_code, response.text, response.headers)
        try:
            return _read(response.json(), request.sampling)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            text = f"{url}: unusable answer ({type(error).__name__} {error}): {response.text:.200}"
            raise _CallError(text) from error

    def _body(self, request: Request, received: int) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._options.model,
            "messages": request.messages,
            "n": request.n - received,
            "seed": request.seed + received,
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
    """The full URL for `http://host:8000`, `http://host:8000/v1` or the full URL itself."""
    url = url.rstrip("/")
    if url.endswith("/chat/completions"):
        return url
    return f"{url}/chat/completions" if "/v1" in url else f"{url}/v1/chat/completions"


def _refusal(url: str, status: int, text: str, headers: Mapping[str, str]) -> _CallError:
    can_retry = status in (408, 409, 425, 429) or status >= 500
    pause = headers.get("retry-after", "")
    seconds = float(pause) if pause.isdigit() else 0.0
    return _CallError(f"{url}: status {status}: {text:.300}", can_retry=can_retry, pause=seconds)


def _read(answer: Any, sampling: SamplingParams) -> _Answer:
    choices = answer["choices"]
    if not choices:
        raise ValueError("it has no choices")
    usage = answer.get("usage") or {}
    tokens = int(usage.get("completion_tokens") or 0) // len(choices)
    samples = tuple(_sample(choice, tokens, sampling) for choice in choices)
    return _Answer(samples, int(usage.get("prompt_tokens") or 0))


def _sample(choice: Any, tokens: int, sampling: SamplingParams) -> Sample:
    message = choice["message"]
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise TypeError(f"content is {type(text).__name__}")
    # Servers with a reasoning parser return the thought in a field of its own.
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and "</think>" not in text:
        text = f"<think>\n{thought}\n</think>\n{text}"
    return Sample(
        _with_stop_text(text, choice.get("finish_reason"), sampling), tokens, _logprob(choice)
    )


def _with_stop_text(text: str, reason: str | None, sampling: SamplingParams) -> str:
    """Put back the stop text, which servers remove."""
    for stop in sampling.stop:
        opening = stop.replace("</", "<")
        if reason == "stop" and opening in text and stop not in text:
            return text + stop
    return text


def _logprob(choice: Any) -> float | None:
    tokens = (choice.get("logprobs") or {}).get("content") or []
    return sum(token["logprob"] for token in tokens) / len(tokens) if tokens else None
