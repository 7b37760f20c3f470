"""What TRL hands to a reward: completions as text or as messages."""

from collections.abc import Sequence
from pathlib import Path

from slmsql.execution import Pair
from slmsql.prompt.answer import parse

Completion = str | list[dict[str, str]]


def text_of(completion: Completion) -> str:
    """The text that the model wrote; TRL gives messages where the prompt has messages."""
    return completion if isinstance(completion, str) else completion[-1]["content"] or ""


def pairs_of(
    completions: Sequence[Completion], gold_sql: Sequence[str], database: Sequence[str]
) -> list[Pair]:
    """Each completion's SQL beside the gold query of its row."""
    return [
        Pair(Path(path), parse(text_of(completion)).sql, gold)
        for completion, gold, path in zip(completions, gold_sql, database, strict=True)
    ]
