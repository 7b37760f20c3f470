"""Requests and answers in the form of OpenAI's chat completions: of endpoints and llama.cpp."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from slmsql.consistency.candidates import is_mean_logprob
from slmsql.sampling.sampler import Request, Sample, SamplingParams

# Values that change nothing. They are sent because servers take what a request leaves out from the
# model's generation_config.json (vLLM) or from defaults of their own (llama.cpp).
NEUTRAL = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}


@dataclass(frozen=True, slots=True)
class Answer:
    """The samples of one call."""

    samples: tuple[Sample, ...]
    prompt_tokens: int
    seconds: float = 0.0


def address(url: str, route: str = "/chat/completions") -> str:
    """The full URL of a route for `http://host:8000`, `http://host:8000/v1` or a full URL itself.

    A query such as `?api-version=1` stays at its end.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    has_version = "/v1" in path or "/deployments/" in path  # the latter as Azure has it
    path += route if has_version else "/v1" + route
    return urlunsplit(parts._replace(path=path))


def chat_request(request: Request, received: int, model: str) -> dict[str, Any]:
    """Ask for the completions of a request that have not been received yet."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": request.messages,
        "n": request.n - received,
        "seed": request.seed + received,
        **NEUTRAL,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.logprobs:
        body["logprobs"] = True
    return body


def read_answer(answer: Any, sampling: SamplingParams) -> Answer:
    """Read a response.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is not a response with choices.
    """
    choices = answer["choices"]
    if not choices:
        raise ValueError("it has no choices")
    usage = answer.get("usage") or {}
    each, left = divmod(int(usage.get("completion_tokens") or 0), len(choices))
    samples = tuple(
        _sample(choice, each + (number < left), sampling) for number, choice in enumerate(choices)
    )
    return Answer(samples, int(usage.get("prompt_tokens") or 0))


def _sample(choice: Any, tokens: int, sampling: SamplingParams) -> Sample:
    message = choice["message"]
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise TypeError(f"content is {type(text).__name__}")
    # Servers with a reasoning parser return the thought in a field of its own.
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and "</think>" not in text:
        text = f"<think>\n{thought}\n</think>\n{text}"
    finish = str(choice.get("finish_reason") or "")
    return Sample(_until_stop_text(text, finish, sampling), tokens, _logprob(choice), finish)


def _until_stop_text(text: str, finish: str, sampling: SamplingParams) -> str:
    """The text up to its stop text, which most servers remove, and some do not know."""
    for stop in sampling.stop:
        opening = stop.replace("</", "<")
        if stop in text:
            text = text[: text.index(stop) + len(stop)]
        elif finish == "stop" and opening in text:
            text += stop
    return text


def _logprob(choice: Any) -> float | None:
    tokens = (choice.get("logprobs") or {}).get("content") or []
    if not tokens:
        return None
    mean = sum(token["logprob"] for token in tokens) / len(tokens)
    if not is_mean_logprob(mean):
        raise ValueError(f"the mean log-probability is {mean}")
    return float(mean)
