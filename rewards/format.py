"""A reward for the think layout."""

from collections.abc import Sequence
from typing import Any

from rewards.completion import Completion, text_of
from slmsql.prompt.answer import parse


def format_reward(completions: Sequence[Completion], **_: Any) -> list[float | None]:
    """1 if a completion is one `<think>` and one `<answer>` block, both with something in them.

    Published as `format`, weight 0.1. Blank space does not matter here; upstream's expression wants
    each tag on a line of its own, yet takes text after the answer and a second answer.
    """
    return [float(parse(text_of(completion)).well_formed) for completion in completions]
