"""What a tokenizer must have before GRPO starts, and which prompts it makes too long."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.prompt.build import Layout, target

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def fitting(
    rows: Sequence[Record], tokenizer: "PreTrainedTokenizerBase", limit: int
) -> list[Record]:
    """The rows whose prompt has at most `limit` tokens as the model reads it.

    Raises:
        InputError: none has.
    """
    prompts = [row["prompt"] for row in rows]
    texts = tokenizer.apply_chat_template(prompts, tokenize=False, add_generation_prompt=True)
    lengths = [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    kept = [row for row, length in zip(rows, lengths, strict=True) if length <= limit]
    if not kept:
        raise InputError(
            f"every prompt is longer than max_prompt_length {limit}; the shortest has "
            f"{min(lengths)} tokens"
        )
    return kept


def check_tokenizer(tokenizer: "PreTrainedTokenizerBase", *, think: bool) -> None:
    """Refuse a tokenizer with which no prompt could be asked or no format reward earned.

    TRL drops special tokens when it decodes a completion. Tags that were added as special ones are
    gone before a reward sees them, and every reward of the format is 0.
    """
    if tokenizer.chat_template is None:
        raise InputError(
            "the tokenizer has no chat template; take an instruct model or one fine-tuned here"
        )
    text = target("thought", "SELECT 1", Layout.THINK)
    seen = tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True)
    if think and any(tag not in seen for tag in ("<think>", "</answer>")):
        raise InputError(
            "the tokenizer has <think> or <answer> as special tokens, which TRL drops before the "
            "rewards see them; add them as ordinary tokens (special_tokens=False)"
        )
