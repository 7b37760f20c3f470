"""Which tokens of a model may come next in a statement over one database.

The same positions come again and again, in the samples of a question and in other questions over
the database, so what depends only on a state of the reader is computed once.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from slmsql.grammar.binding import Binding
from slmsql.grammar.choices import Choices, Chooser
from slmsql.grammar.expectations import expects_new_name, expects_operand, must_open
from slmsql.grammar.lexemes import (
    CLOSING,
    CLOSING_TAG,
    COMMENTS,
    DOT,
    END,
    OPEN,
    UNDECIDED,
    Lexeme,
    is_closed,
    last,
    split,
)
from slmsql.grammar.names import NEVER_NAMES, Names, fold
from slmsql.grammar.scopes import State
from slmsql.grammar.vocabulary import Beginnings, Group, Vocabulary, bits, indices

PREFIX_SIZE = 100  # bytes of a short text and its place in a set
FEW = 100  # tokens that are looked up one by one
NO_COLUMN = '"\0'  # stands for any text in double quotes with which no name begins


class Masks:
    """The tokens that may come next, as sets of bits.

    Args:
        names: of the database.
        vocabulary: the tokens.
        in_answer: whether `</answer>` ends the statement, not the end of the completion.
    """

    def __init__(self, names: Names, vocabulary: Vocabulary, *, in_answer: bool) -> None:
        self.binding = Binding(names)
        self._chooser = Chooser(self.binding, names)
        self._vocabulary = vocabulary
        self._in_answer = in_answer
        self._choices: dict[int, Choices] = {}
        self._masks: dict[tuple[int, str], int] = {}
        self._after: dict[int, int] = {}
        self._words: dict[tuple[int, frozenset[str], str], int] = {}
        self._prefixes_of: dict[frozenset[str], frozenset[str]] = {}
        self._number_of_prefixes = 0
        self._checked: dict[tuple[int, str], int] = {}

    def size(self) -> int:
        """About how many bytes are kept."""
        sets = len(self._masks) + len(self._after) + len(self._words) + len(self._checked)
        prefixes = PREFIX_SIZE * self._number_of_prefixes
        return sets * self._vocabulary.size + prefixes + self.binding.size()

    def mask(self, state: State, rest: str) -> int:
        """The tokens that may come next.

        Args:
            state: of the reader, after all complete lexemes.
            rest: the text after them, which more text may continue.
        """
        if rest and (rest[0] in CLOSING or rest.startswith(COMMENTS)):
            return self._in_quotes(state, rest)
        key = (id(state), rest)
        if key not in self._masks:
            self._masks[key] = self._outside_quotes(state, rest)
        return self._masks[key]

    def _outside_quotes(self, state: State, rest: str) -> int:
        vocabulary = self._vocabulary
        if not rest:
            return self._after_state(state) | self._words_from(state, "")
        if rest.startswith("</"):
            return self._beginnings(CLOSING_TAG.removeprefix(rest))
        if rest in UNDECIDED:
            special = _union(vocabulary.starting.get(c, 0) for c in UNDECIDED[rest])
            lexeme = last(rest)
            after = self._after_lexeme(state, lexeme)
            going_on = self.mask(after, "") if after else 0
            return going_on & ~special | self._check(state, rest, special)
        lexeme = last(rest)
        after = self._after_lexeme(state, lexeme)
        going_on = self._after_state(after) if after else 0
        if rest[0].isdigit():
            return going_on | self._check(state, rest, vocabulary.numeric)
        return going_on | self._words_from(state, rest)

    def may_end(self, state: State, rest: str) -> bool:
        """Whether the completion may end here."""
        after: State | None = state
        if rest and not rest.startswith(COMMENTS):
            lexeme = last(rest)
            after = self._after_lexeme(state, lexeme)
        if self._in_answer:
            return after is not None and after.previous == "ended"
        return after is not None and self.binding.read(after, END) is not None

    def _after_lexeme(self, state: State, lexeme: Lexeme | None) -> State | None:
        return None if lexeme is None else self.binding.read(state, lexeme)

    def read(self, state: State, text: str) -> tuple[State, str] | None:
        """The state and the rest after more text; None if a statement cannot go on like this."""
        lexemes, rest = split(text)
        after = self._run(state, lexemes)
        return None if after is None else (after, rest)

    def _run(self, state: State, lexemes: Sequence[Lexeme]) -> State | None:
        after: State | None = state
        for lexeme in lexemes:
            if after is None or (lexeme == END and not self._in_answer):
                return None
            after = self.binding.read(after, lexeme)
        return after

    # Tokens that begin with anything but a letter or a digit

    def _after_state(self, state: State) -> int:
        """Tokens that go on after a complete lexeme, except those that are words alone."""
        if id(state) not in self._after:
            self._after[id(state)] = self._group_mask(state, self._vocabulary.group)
        return self._after[id(state)]

    def _group_mask(self, state: State, group: Group) -> int:
        mask = group.complete if group.complete and self._is_possible(state) else 0
        if group.words.tokens:
            mask |= self._word_mask(state, "", group.words)
        mask |= _union(
            tokens for rest, tokens in group.others.items() if self._accepts(state, rest)
        )
        if group.openings and (resolved := self.binding.resolved(state)):
            mask |= _union(
                self._opening_mask(resolved, quote, tokens)
                for quote, tokens in group.openings.items()
            )
        for lexeme, tokens in group.quoted.items():
            after = self._run(state, [lexeme])
            if after is not None and self._is_possible(after):
                mask |= tokens
        for lexeme, longer in group.longer.items():
            after = self._run(state, [lexeme])
            if after is not None:
                mask |= self._group_mask(after, longer)
        return mask

    def _opening_mask(self, state: State, quote: str, tokens: dict[str, int]) -> int:
        """Tokens that open a quoted text with a beginning that may stand there."""
        if not self._accepts_quoted(state, quote):
            return 0
        if quote == "'" or self._is_free(state, quote):
            return _union(tokens.values())
        names = self._choices_at(state).names
        return _union(some for text, some in tokens.items() if self._begins(text, names))

    def _is_possible(self, state: State) -> bool:
        """Whether the name that was read last can be a column, a function or a qualifier."""
        return (
            not state.word
            or self.binding.resolved(state) is not None
            or self.binding.read(state, OPEN) is not None
            or self.binding.read(state, DOT) is not None
        )

    # Words

    def _words_from(self, state: State, rest: str) -> int:
        """Tokens that go on with a word, and those that complete it."""
        choices, beginning = self._choices_at(state), fold(rest)
        completing = _union(
            tokens
            for piece, tokens in self._vocabulary.mixed.items()
            if choices.any_name or any(beginning + piece in words for words in choices.words)
        )
        words = self._word_mask(state, beginning, self._vocabulary.words)
        return words | self._check(state, rest, completing)

    def _word_mask(self, state: State, beginning: str, tokens: Beginnings) -> int:
        """Tokens that continue a word so that it can still become one of the choices."""
        choices = self._choices_at(state)
        if choices.any_name:
            every = tokens.every | (_union(tokens.numbers.values()) if beginning else 0)
            return every & ~self._unfit_words(state, beginning, tokens)
        mask = _union(self._nearer(tokens, words, beginning) for words in choices.words)
        if not beginning:
            mask |= self._number_mask(state, tokens)
        return mask

    def _number_mask(self, state: State, tokens: Beginnings) -> int:
        """Tokens that begin a number; ORDER BY takes small ones only."""
        if not tokens.numbers or not self._accepts(state, "1"):
            return 0
        takes_all = self._accepts(state, "99999")
        return _union(
            found
            for number, found in tokens.numbers.items()
            if takes_all or self._accepts(state, number)
        )

    def _unfit_words(self, state: State, beginning: str, tokens: Beginnings) -> int:
        """Tokens that complete a word that no alias may be, nor a keyword that may come.

        More letters could still make another word of it, but hardly one that was meant.
        """
        resolved = self.binding.resolved(state)
        if resolved is None or resolved.previous not in ("table", "as"):
            return 0
        choices, words = self._choices_at(state), self._choices_at(state).taken
        if resolved.previous == "table":
            words = words.union(word for word in NEVER_NAMES if len(word) > 2)
        words = words.difference(*map(self._prefixes, choices.keywords))  # OR begins ORDER
        rests = (word[len(beginning) :] for word in words if word.startswith(beginning))
        return bits(index for rest in rests for index in tokens.tokens.get(rest, ()))

    def _choices_at(self, state: State) -> Choices:
        if id(state) not in self._choices:
            self._choices[id(state)] = self._chooser.choices(state)
        return self._choices[id(state)]

    # Quoted texts, and whatever else is tried token by token

    def _in_quotes(self, state: State, rest: str) -> int:
        """Tokens that go on with a quoted text or a comment, or after it."""
        vocabulary = self._vocabulary
        if rest[0] in CLOSING and is_closed(rest):
            quote = vocabulary.starting.get(CLOSING[rest[0]], 0)
            lexeme = last(rest)
            after = self._after_lexeme(state, lexeme)
            going_on = self._after_state(after) if after else 0
            return going_on & ~quote | self._check(state, rest, quote)
        closing = vocabulary.containing["\n" if rest[:2] == "--" else CLOSING.get(rest[0], "/")]
        shortest = self._shortest(state, rest)
        going_on = self._check(state, shortest, closing)
        if self._is_free(state, rest):
            return vocabulary.every & ~closing | going_on
        content = fold(rest[1:])
        names = [name for name in self._names_at(state) if name.startswith(content)]
        return going_on | _union(self._beginnings(name[len(content) :]) for name in names)

    def _shortest(self, state: State, rest: str) -> str:
        """A shorter rest after which the same tokens may come."""
        if rest[0] == "'":
            return "'"
        if rest.startswith(COMMENTS):
            return rest[:2] + "*" * rest[2:].endswith("*")
        if rest[0] == '"' and self._is_free(state, rest):
            content = fold(rest[1:])
            if not any(name.startswith(content) for name in self._names_at(state)):
                return NO_COLUMN
        return rest

    def _names_at(self, state: State) -> Iterable[str]:
        """The names that may come next."""
        return (name for names in self._choices_at(state).names for name in names)

    def _beginnings(self, text: str) -> int:
        """The tokens with which a text begins, in any case."""
        folded = self._vocabulary.folded
        beginnings = (text[:end] for end in range(1, len(text) + 1))
        return bits(index for beginning in beginnings for index in folded.get(beginning, ()))

    def _is_free(self, state: State, rest: str) -> bool:
        """Whether any text may stand in these quotes or this comment."""
        if rest[0] == "'" or rest.startswith(COMMENTS) or expects_new_name(state):
            return True
        may_be_text = expects_operand(state) and not must_open(state)
        return rest[0] == '"' and may_be_text and not state.query.orders_outputs

    def _check(self, state: State, rest: str, tokens: int) -> int:
        """Those of the tokens that may come after a rest, each tried.

        For a state and a rest, the tokens are always the same.
        """
        key = (id(state), rest)
        if key not in self._checked:
            allowed = 0
            for index in indices(tokens):
                read = self.read(state, rest + self._vocabulary.texts[index])
                if read is not None and self._accepts(*read):
                    allowed |= 1 << index
            self._checked[key] = allowed
        return self._checked[key]

    def _accepts(self, state: State, rest: str) -> bool:
        """Whether a rest can still become a lexeme that may come after a state."""
        if not rest or rest.startswith(COMMENTS):
            return self._is_possible(state)
        if rest.startswith("</"):
            is_tag = self._in_answer and CLOSING_TAG.startswith(rest)
            return is_tag and self.binding.read(state, END) is not None
        if rest in UNDECIDED:
            return self._accepts_undecided(state, rest)
        if rest[0] in CLOSING:
            return self._accepts_quoted(state, rest)
        if rest[0].isdigit():
            lexeme = last(rest)
            return lexeme is not None and self.binding.read(state, lexeme) is not None
        choices = self._choices_at(state)
        beginning = fold(rest)
        return choices.any_name or self._begins(beginning, choices.words)

    def _accepts_undecided(self, state: State, rest: str) -> bool:
        lexeme = last("!=" if rest == "!" else rest)
        if lexeme is not None and self.binding.read(state, lexeme) is not None:
            return True
        return rest == "<" and self._accepts(state, "</")

    def _accepts_quoted(self, state: State, rest: str) -> bool:
        resolved = self.binding.resolved(state)
        if resolved is None:
            return False
        if is_closed(rest):
            lexeme = last(rest)
            after = self._after_lexeme(resolved, lexeme)
            return after is not None and self._is_possible(after)
        if rest[0] == "'":
            return self.binding.read(resolved, Lexeme("string", "text")) is not None
        beginning = fold(rest[1:])
        if self._is_free(resolved, rest):
            return True
        return self._begins(beginning, self._choices_at(resolved).names)

    def _begins(self, text: str, words: Iterable[frozenset[str]]) -> bool:
        """Whether one of the words begins with the text."""
        return any(text in self._prefixes(some) if text else some for some in words)

    def _prefixes(self, words: frozenset[str]) -> frozenset[str]:
        """Everything with which one of the words begins."""
        if words not in self._prefixes_of:
            prefixes: set[str] = set()
            for word in words:
                end = len(word)
                while end and word[:end] not in prefixes:  # if it is, all shorter ones are
                    prefixes.add(word[:end])
                    end -= 1
            self._prefixes_of[words] = frozenset(prefixes)
            self._number_of_prefixes += len(prefixes)
        return self._prefixes_of[words]

    def _nearer(self, tokens: Beginnings, words: frozenset[str], beginning: str) -> int:
        """Tokens that bring a beginning nearer to one of the words, or complete it."""
        if len(tokens.tokens) < FEW:
            prefixes, few = self._prefixes(words), tokens.tokens.items()
            return bits(i for text, found in few if beginning + text in prefixes for i in found)
        key = (id(tokens), words, beginning)
        if key not in self._words:
            self._words[key] = self._nearer_among(tokens.tokens, words, beginning)
        return self._words[key]

    def _nearer_among(
        self, tokens: dict[str, list[int]], words: frozenset[str], beginning: str
    ) -> int:
        start = len(beginning)
        ends = self._prefixes(
            frozenset(word[start:] for word in words if word.startswith(beginning))
            if beginning
            else words
        )
        return bits(index for end in tokens.keys() & ends for index in tokens[end])


def _union(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)
