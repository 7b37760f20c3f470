"""The interface of every source of completions: vLLM, OpenAI-compatible endpoints, transformers.

A sampler takes requests at any time and returns each as soon as it is complete, so that its SQL can
run while other requests are still being sampled. A new sampler implements `Sampler` and is opened
in `loading.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from slmsql.prompt.build import Layout, Messages


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How completions are sampled; temperature 0 is greedy."""

    temperature: float = 0.8
    top_p: float = 1.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    """Texts that end a completion; the completion keeps them."""
    logprobs: bool = False
    constrain: Layout | None = None
    """The layout in which the SQL may only name what its database has; None: anything."""


@dataclass(frozen=True, slots=True)
class Request:
    """Asks for `n` completions of one prompt; the i-th is sampled with `seed + i`."""

    key: str
    messages: Messages
    n: int
    seed: int
    sampling: SamplingParams
    database: Path | None = None
    """What the question is about, for `sampling.constrain`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion; `logprob` is the mean over its tokens, if the request asked for it."""

    text: str
    tokens: int = 0
    logprob: float | None = None
    finish: str = ""
    """Why it ended: "stop", "length" (it was cut at the token limit), or what a server calls it."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A completed request. With an `error` it has fewer samples than requested."""

    key: str
    samples: Sequence[Sample]
    prompt_tokens: int = 0
    seconds: float = 0.0
    """Wall time of the sampling, including time shared with other requests, but neither the wait
    in the sampler's queue nor pauses before retries."""
    error: str | None = None
    temporary: bool = False
    """Whether a retry may succeed: yes if a server is down, no if the prompt is too long."""
    fatal: bool = False
    """Whether other requests will meet the same error: a wrong API key, a server that is gone."""


class Sampler(Protocol):
    """A source of completions."""

    def submit(self, request: Request) -> None:
        """Take a request and return at once."""

    def completed(self) -> list[Completed]:
        """Return completed requests; may block a while for one, and may return none."""

    def close(self) -> None:
        """Free GPU memory, connections and threads."""


def seed_of(base: int, key: str) -> int:
    """A seed from the question's id, not its position, so that shards sample what one run would."""
    return int.from_bytes(blake2b(f"{base}:{key}".encode(), digest_size=4).digest()) >> 1
