"""What TRL passes to a reward, read once: completions as text or as messages, and their answers."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from slmsql.execution import Pair
from slmsql.prompt.answer import Answer, parse

Completion = str | list[dict[str, str]]


def text_of(completion: Completion) -> str:
    """The text that the model wrote. TRL passes messages if the prompt consists of messages."""
    return completion if isinstance(completion, str) else completion[-1]["content"] or ""


def answer_of(completion: Completion) -> Answer:
    """The parsed completion: thought, SQL and whether it is well formed.

    Answers are cached, so that all rewards of a step and the trainer share one parse.
    """
    return _parse(text_of(completion))


def pairs_of(
    completions: Sequence[Completion], gold_sql: Sequence[str], database: Sequence[str]
) -> list[Pair]:
    """Each completion's SQL with its row's gold query and database, for the judge."""
    return [
        Pair(Path(path), answer_of(completion).sql, gold)
        for completion, gold, path in zip(completions, gold_sql, database, strict=True)
    ]


_parse = lru_cache(maxsize=4096)(parse)
