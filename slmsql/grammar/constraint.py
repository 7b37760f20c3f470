"""Constrains what a model writes: only statements over names that the database has.

    constraints = Constraints(tokenizer, width)
    text = constraints.begin(database, Layout.SQL)
    text.allowed()      # the tokens that may come next, as a set of bits
    text.accept(token)  # the one that came

What is allowed depends on the text so far alone, so that sampling and training see the same tokens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.grammar.masks import Masks
from slmsql.grammar.names import Names
from slmsql.grammar.scopes import State
from slmsql.grammar.vocabulary import Vocabulary, bits
from slmsql.prompt.build import Layout
from slmsql.schema.reading import read_schema

ANSWER = "<answer>"
MOST_BYTES = 2**29  # that are kept of all databases, about; the rest is computed again


class Constraints:
    """The constraints of all databases for one tokenizer.

    Args:
        tokenizer: of transformers.
        width: of the model's logits, which may be larger than the vocabulary.
        stop_tokens: those that end a completion.
    """

    def __init__(self, tokenizer: Any, width: int, stop_tokens: Sequence[int]) -> None:
        self.stop_tokens = bits(stop_tokens)
        self.width = width
        self.vocabulary = Vocabulary(token_bytes(tokenizer, width))
        self.in_thought = self.vocabulary.every & ~self.stop_tokens
        self._masks: dict[tuple[str, Layout], Masks] = {}

    def begin(self, database: Path, layout: Layout) -> "ConstrainedText":
        """A new completion about a database.

        Raises:
            FileNotFoundError, InputError: the database is missing or not one.
        """
        key = (str(database), layout)
        if sum(masks.size() for masks in self._masks.values()) > MOST_BYTES:
            self._masks.clear()  # completions that have begun keep theirs
        if key not in self._masks:
            names = Names.of(read_schema(database, sample_values=0)).as_bytes()
            in_answer = layout is Layout.THINK
            self._masks[key] = Masks(names, self.vocabulary, in_answer=in_answer)
        return ConstrainedText(self._masks[key], self, is_answer=layout is Layout.SQL)


class ConstrainedText:
    """One completion while it is written."""

    def __init__(self, masks: Masks, constraints: Constraints, *, is_answer: bool) -> None:
        self._masks = masks
        self._constraints = constraints
        self._is_answer = is_answer
        self._state: State | None = masks.binding.start
        self._rest = ""

    def allowed(self) -> int:
        """The tokens that may come next; all of them after one that was not allowed."""
        constraints = self._constraints
        if self._state is None:
            return constraints.vocabulary.every | constraints.stop_tokens
        if not self._is_answer:
            return constraints.in_thought
        mask = self._masks.mask(self._state, self._rest) & ~constraints.stop_tokens
        if self._masks.may_end(self._state, self._rest):
            mask |= constraints.stop_tokens
        if not mask:  # better any text than one that ends in the middle
            self._state = None
            return self.allowed()
        return mask

    def accept(self, token: int) -> None:
        """Take the next token of the completion."""
        text = self._constraints.vocabulary.texts[token]
        if self._state is None:
            return
        if not self._is_answer:
            _thought, tag, text = (self._rest + text).partition(ANSWER)
            self._is_answer = bool(tag)
            if not tag:
                self._rest = _thought[-len(ANSWER) :]
                return
            self._rest = ""
        read = self._masks.read(self._state, self._rest + text)
        self._state, self._rest = read or (None, "")


def token_bytes(tokenizer: Any, width: int) -> list[bytes]:
    """The bytes of each token; none for special tokens and for what is beyond the vocabulary.

    Raises:
        InputError: xgrammar, which knows the kinds of tokenizers, is not installed.
    """
    try:
        from xgrammar import TokenizerInfo
    except ImportError as error:
        raise InputError("--constrain needs xgrammar; pip install xgrammar") from error
    info = TokenizerInfo.from_huggingface(tokenizer, vocab_size=width)
    tokens = [bytes(token) for token in info.decoded_vocab]
    for index in {*tokenizer.all_special_ids, *info.special_token_ids, *info.stop_token_ids}:
        tokens[index] = b""
    return [*tokens, *[b""] * (width - len(tokens))]
