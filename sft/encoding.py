"""From rows to token ids and labels: exactly what carries loss, and what is too long to be taught.

The prompt is rendered by the model's chat template with its generation prompt, as at inference, and
tokenised alone; the completion is the text as it is in the row, then the template's end token.
Rendering both together, as trainers do, is not the same: Qwen3's template puts an empty thought
before a plain answer and a blank line into one with a thought, others drop blank space or add a
line end after the end token, and a token may merge across the border.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slmsql.errors import InputError
from slmsql.files import Record

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # torch's cross entropy leaves such labels out
PROBE = "the answer"


@dataclass(frozen=True, slots=True)
class Turn:
    """What a template puts around an answer: blank space before it, the end of turn after it."""

    lead: str
    end: str


@dataclass(frozen=True)
class Encoder:
    """Turns a row into `input_ids` and `labels`; labels of the prompt are `IGNORED`."""

    tokenizer: "PreTrainedTokenizerBase"
    turn: Turn
    completion_only: bool = True

    def __call__(self, row: Record) -> Record:
        prompt = self._ids(prompt_text(self.tokenizer, row["prompt"]))
        completion = self._ids(self.turn.lead + row["completion"] + self.turn.end)
        ignored = [IGNORED] * len(prompt) if self.completion_only else prompt
        return {"input_ids": prompt + completion, "labels": ignored + completion}

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def prompt_text(tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, str]]) -> str:
    """The prompt as the model reads it, up to where its answer begins."""
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def read_turn(tokenizer: "PreTrainedTokenizerBase") -> Turn:
    """Find out how the chat template surrounds an answer, by rendering one.

    Raises:
        InputError: there is no chat template, or neither it nor the tokenizer has an end token.
    """
    if tokenizer.chat_template is None:
        raise InputError(
            "the tokenizer has no chat template; take an instruct model or give "
            "--chat_template_path"
        )
    question = [{"role": "user", "content": "a question"}]
    answered = [*question, {"role": "assistant", "content": PROBE}]
    whole = str(tokenizer.apply_chat_template(answered, tokenize=False))
    before, _, after = whole.rpartition(PROBE)
    lead = before.removeprefix(prompt_text(tokenizer, question))
    end = after.rstrip() or str(tokenizer.eos_token or "")
    if not end:
        raise InputError("neither the chat template nor the tokenizer has an end token")
    # Words of the template's own (Qwen3's empty thought) are not what a model is to generate.
    return Turn(lead if lead.isspace() else "", end)


def end_token(tokenizer: "PreTrainedTokenizerBase", turn: Turn) -> str:
    """The one token at which generation stops.

    Raises:
        InputError: the end of turn is plain text, at which generation cannot stop.
    """
    last = tokenizer(turn.end, add_special_tokens=False)["input_ids"][-1]
    token = str(tokenizer.convert_ids_to_tokens(last))
    if token not in tokenizer.get_added_vocab():
        raise InputError(f"the chat template ends an answer with {turn.end!r}, which is no token")
    return token
