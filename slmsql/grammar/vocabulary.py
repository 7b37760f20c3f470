"""The tokens of a model, sorted by the lexemes of SQL with which they go on.

Sets of tokens are integers with one bit for each token: Python joins such sets of any vocabulary
within a microsecond. They take up to 20 KB each, so that the many small ones are lists.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from slmsql.grammar.lexemes import CLOSING, COMMENTS, Lexeme, is_closed, last, split
from slmsql.grammar.names import fold

WORD = re.compile(r"[A-Za-z0-9_$\x80-\xff]+")
NUMERIC = re.compile(r"[0-9]*\.?[0-9]*")
CLOSING_CHARACTERS = "'\"`]\n/"  # of quotes and comments


@dataclass(slots=True, eq=False)
class Beginnings:
    """Tokens by the beginning of a word that they are, folded."""

    tokens: dict[str, list[int]] = field(default_factory=dict)
    every: int = 0
    """Those that begin with a letter."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Those that begin with a digit, by their text."""

    def add(self, text: str, index: int) -> None:
        self.tokens.setdefault(fold(text), []).append(index)
        if text[0].isdigit():
            _join(self.numbers, text, 1 << index)
        else:
            self.every |= 1 << index


@dataclass(slots=True)
class Group:
    """Tokens that complete the same lexemes and differ in what they begin after them."""

    complete: int = 0
    """Those that begin nothing."""
    words: Beginnings = field(default_factory=Beginnings)
    """Those that begin a word."""
    others: dict[str, int] = field(default_factory=dict)
    """Those that begin an operator, a comment or `</`, by its beginning."""
    openings: dict[str, dict[str, int]] = field(default_factory=dict)
    """Those that begin a quoted text, by the quote and the beginning of the text, folded."""
    quoted: dict[Lexeme, int] = field(default_factory=dict)
    """Those that end with a quoted text, which a further quote could still continue."""
    longer: dict[Lexeme, "Group"] = field(default_factory=dict)
    """Tokens that complete a further lexeme."""


class Vocabulary:
    """The tokens of a model as texts: bytes as Latin-1."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self.texts = [token.decode("latin-1") for token in tokens]
        self.size = len(tokens) // 8
        """Bytes of a set of tokens."""
        self.every = bits(index for index, text in enumerate(self.texts) if text)
        self.folded: dict[str, list[int]] = {}
        """All tokens by their text, folded."""
        self.words = Beginnings()
        """Tokens that go on with a word."""
        self.group = Group()
        """Tokens that begin with something else; tokens that no statement can have are left out."""
        self.mixed: dict[str, int] = {}
        """Tokens that go on with a word and then with something else, by this word, folded."""
        self.numeric = 0
        """Tokens that may go on with a number."""
        self.starting: dict[str, int] = {}
        """Tokens by their first character."""
        self.containing = dict.fromkeys(CLOSING_CHARACTERS, 0)
        """Tokens that contain a character that may end a quoted text or a comment."""
        for index, text in enumerate(self.texts):
            if text:
                self._add(text, index)

    def _add(self, text: str, index: int) -> None:
        bit = 1 << index
        self.folded.setdefault(fold(text), []).append(index)
        _join(self.starting, text[0], bit)
        for character in CLOSING_CHARACTERS:
            if character in text:
                self.containing[character] |= bit
        if NUMERIC.fullmatch(text):
            self.numeric |= bit
        word = WORD.match(text)
        if word is None:
            self._add_to_group(text, index)
        elif word.end() == len(text):
            self.words.add(text, index)
        else:
            _join(self.mixed, fold(word.group()), bit)

    def _add_to_group(self, text: str, index: int) -> None:
        bit = 1 << index
        lexemes, rest = split(text)
        if any(lexeme.kind == "other" for lexeme in lexemes):
            return
        group = self.group
        for lexeme in lexemes:
            group = group.longer.setdefault(lexeme, Group())
        if not rest:
            group.complete |= bit
        elif WORD.match(rest) and not rest[0].isdigit():
            group.words.add(rest, index)
        elif rest[0] in CLOSING and is_closed(rest):
            quoted = last(rest)
            assert quoted is not None
            group.quoted[quoted] = group.quoted.get(quoted, 0) | bit
        elif rest[0] in CLOSING:
            _join(group.openings.setdefault(rest[0], {}), fold(rest[1:]), bit)
        else:
            _join(group.others, rest[:2] if rest.startswith(COMMENTS) else rest, bit)


def bits(indices: Iterable[int]) -> int:
    """The set of some indices."""
    mask = bytearray()
    for index in indices:
        if index // 8 >= len(mask):
            mask.extend(bytes(index // 8 + 1 - len(mask)))
        mask[index // 8] |= 1 << index % 8
    return int.from_bytes(mask, "little")


def indices(mask: int) -> list[int]:
    """The members of a set, in order."""
    digits = bin(mask)[:1:-1]
    found = []
    index = digits.find("1")
    while index >= 0:
        found.append(index)
        index = digits.find("1", index + 1)
    return found


def _join(sets: dict[str, int], key: str, bit: int) -> None:
    sets[key] = sets.get(key, 0) | bit
