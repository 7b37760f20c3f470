"""What GRPO needs of the tokenizer, and which prompts are too long."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.prompt.build import Layout, target

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import GRPOConfig


def prompt_limit(max_prompt_length: int, training: "GRPOConfig") -> int:
    """The longest prompt that can be answered, in tokens; 0: no limit.

    The colocated vLLM raises an error for a prompt that leaves no room for the completion.
    """
    room = 0
    if training.use_vllm and training.vllm_max_model_length:
        room = training.vllm_max_model_length - (training.max_completion_length or 0)
    return min(filter(None, (max_prompt_length, room)), default=0)


def rows_within(
    limit: int, rows: Sequence[Record], tokenizer: "PreTrainedTokenizerBase"
) -> list[Record]:
    """The rows whose prompt has at most `limit` tokens.

    Raises:
        InputError: every prompt is longer.
    """
    lengths = prompt_lengths(rows, tokenizer)
    short = [row for row, length in zip(rows, lengths, strict=True) if length <= limit]
    if not short:
        raise InputError(
            f"every prompt is longer than {limit} tokens, the limit of max_prompt_length and "
            f"vllm_max_model_length; the shortest has {min(lengths)}"
        )
    return short


def prompt_lengths(rows: Sequence[Record], tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Tokens of each row's prompt, the chat template's included."""
    prompts = [row["prompt"] for row in rows]
    texts = tokenizer.apply_chat_template(prompts, tokenize=False, add_generation_prompt=True)
    encoded = tokenizer(texts, add_special_tokens=False)
    return [len(ids) for ids in encoded["input_ids"]]


def read_completions_whole(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Make TRL hand completions to the rewards as they are.

    If the tokenizer has a `response_template` (or a `response_schema`, as it was called before),
    TRL parses completions with it and moves the thought out of `content`. The format reward would
    then be 0 for a perfect answer. The templates are for tool calls, which there are none of here.
    """
    for name in ("response_template", "response_schema"):
        if getattr(tokenizer, name, None) is not None:
            setattr(tokenizer, name, None)


def check_tokenizer(tokenizer: "PreTrainedTokenizerBase", *, think: bool) -> None:
    """Check that prompts can be rendered and, with `think`, that the format reward can be earned.

    TRL drops special tokens when it decodes a completion. Tags that were added as special tokens
    are gone before a reward sees them, so that every format reward would be 0.

    Raises:
        InputError: there is no chat template, or the tags are special tokens.
    """
    if tokenizer.chat_template is None:
        raise InputError(
            "the tokenizer has no chat template; take an instruct model or one fine-tuned here"
        )
    text = target("thought", "SELECT 1", Layout.THINK)
    decoded = tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True)
    if think and any(tag not in decoded for tag in ("<think>", "</answer>")):
        raise InputError(
            "the tokenizer has <think> or <answer> as special tokens, which TRL drops before the "
            "rewards see them; add them as ordinary tokens (special_tokens=False)"
        )
