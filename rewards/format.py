"""A reward for the think layout."""

from collections.abc import Sequence
from typing import Any

from rewards.completion import Completion, answer_of


def format_reward(completions: Sequence[Completion], **_: Any) -> list[float | None]:
    """1 if a completion is one `<think>` block with text and one `<answer>` block with a query.

    `slmsql/prompt/answer.py` has the rules. Published as `format` with weight 0.1. White space does
    not matter here. The published regular expression wants each tag on its own line, but accepts
    text after the answer and a second answer.
    """
    return [float(answer_of(completion).well_formed) for completion in completions]
