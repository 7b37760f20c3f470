"""From rows to token ids and labels: which tokens a row has, and which of them carry loss.

The prompt is rendered by the model's chat template with its generation prompt, as at inference, and
tokenised alone. The completion is the row's text unchanged, followed by the template's end token.

Trainers usually render both together, which gives other tokens. Qwen3's template puts an empty
thought before a plain answer and a blank line into one with a thought; others strip white space or
add a newline after the end token; and a token may span the end of the prompt.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slmsql.errors import InputError
from slmsql.files import Record

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # torch's cross entropy skips this label
PROBE = "the answer"  # rendered to see what a template puts around an answer


@dataclass(frozen=True, slots=True)
class Turn:
    """What a template puts around an answer: white space before it, the end of turn after it."""

    lead: str
    end: str


@dataclass(frozen=True)
class Encoder:
    """Turns a row into `input_ids` and `labels`.

    Args:
        completion_only: label the prompt `IGNORED`, so that only the completion carries loss.
    """

    tokenizer: "PreTrainedTokenizerBase"
    turn: Turn
    completion_only: bool = True

    def __call__(self, row: Record) -> Record:
        prompt = self._ids(prompt_text(self.tokenizer, row["prompt"]))
        completion = self._ids(self.turn.lead + row["completion"] + self.turn.end)
        prompt_labels = [IGNORED] * len(prompt) if self.completion_only else prompt
        return {"input_ids": prompt + completion, "labels": prompt_labels + completion}

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def prompt_text(tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, str]]) -> str:
    """The prompt as the model reads it, up to the start of its answer."""
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def read_turn(tokenizer: "PreTrainedTokenizerBase") -> Turn:
    """Render an answer to see what the chat template puts around it.

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
    # Text that the template adds (Qwen3's empty thought) is not for the model to generate.
    return Turn(lead if lead.isspace() else "", end)


def end_token(tokenizer: "PreTrainedTokenizerBase", turn: Turn) -> str:
    """The one token at which generation stops.

    Raises:
        InputError: the end of turn is plain text, at which generation cannot stop.
    """
    last = tokenizer(turn.end, add_special_tokens=False)["input_ids"][-1]
    token = str(tokenizer.convert_ids_to_tokens(last))
    if token not in tokenizer.get_added_vocab():
        raise InputError(
            f"the chat template ends an answer with {turn.end!r}, which is not a token"
        )
    return token
