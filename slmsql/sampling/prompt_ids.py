"""Prompts as token ids, the same for vLLM and transformers."""

from typing import Any

from slmsql.errors import InputError
from slmsql.prompt.build import Messages


def prompt_tokens(tokenizer: Any, messages: Messages) -> list[int]:
    """Apply the chat template, up to the start of the assistant's turn.

    Raises:
        InputError: the tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise InputError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template; use an instruct "
            "model or one trained with sft/train.py"
        )
    ids: list[int] = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    return ids
