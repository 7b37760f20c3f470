"""Where completions come from: vLLM, any OpenAI-compatible endpoint, or transformers.

A sampler takes requests as they come and hands them back as they are done, so that what is done
can be executed while the rest is still being generated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from slmsql.prompt.build import Messages


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How completions are drawn; temperature 0 is greedy."""

    temperature: float = 0.8
    top_p: float = 1.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    """Texts that end a completion; they stay in it."""
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """`n` completions of one prompt; the i-th is drawn with `seed + i`."""

    key: str
    messages: Messages
    n: int
    seed: int
    sampling: SamplingParams


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion; `logprob` is the mean of its tokens where that was asked for."""

    text: str
    tokens: int = 0
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """A request that is done. With an `error` there are fewer samples than asked for."""

    key: str
    samples: Sequence[Sample]
    prompt_tokens: int = 0
    seconds: float = 0.0
    """What it took from being asked to being done, beside whatever else was under way."""
    error: str | None = None
    temporary: bool = False
    """Whether the same request may work later: a server that does not answer, not a long prompt."""


class Sampler(Protocol):
    """What the programs ask of a source of completions."""

    def submit(self, request: Request) -> None:
        """Take a request; it is worked on during `completed`, or before."""

    def completed(self) -> list[Completed]:
        """Work until something may be done, and hand over what is; nothing is asked: []."""

    def close(self) -> None:
        """Free what is held: memory of the accelerator, connections, threads."""


def seed_of(base: int, key: str) -> int:
    """A seed that depends on the question and not on its place: shards sample what one run does."""
    return int.from_bytes(blake2b(f"{base}:{key}".encode(), digest_size=4).digest()) >> 1
