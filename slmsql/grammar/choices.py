"""The words that a statement may go on with, for a mask over the tokens of a model."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from slmsql.grammar.binding import Binding
from slmsql.grammar.expectations import (
    expects_new_name,
    expects_operand,
    expects_table,
    must_open,
    words_after,
)
from slmsql.grammar.lexemes import Lexeme
from slmsql.grammar.names import Names, is_plain
from slmsql.grammar.references import FROM_CLAUSES, is_numbered, lower_numbers, overdue, wanted_of
from slmsql.grammar.scopes import Query, State
from slmsql.grammar.steps import open_call
from slmsql.grammar.words import (
    AFTER_FROM,
    AGGREGATES,
    FOLLOWERS,
    FUNCTIONS,
    IN_FROM,
    OPERANDS,
    RANKINGS,
    TYPES,
    openers,
)

MANY_SETS = 1_000  # of names, that are kept without those that need quotes
FROM = frozenset({"from"})


class Choices(NamedTuple):
    """What the next word or quoted name may be."""

    keywords: tuple[frozenset[str], ...] = ()
    names: tuple[frozenset[str], ...] = ()
    """Names of columns, tables and aliases; some of them need quotes."""
    any_name: bool = False
    """Whether a new name may come."""
    taken: frozenset[str] = frozenset()
    """What this name may not be."""
    words: tuple[frozenset[str], ...] = ()
    """All of them that may stand without quotes."""

    @classmethod
    def of(cls, *names: frozenset[str], keywords: Iterable[frozenset[str]] = ()) -> "Choices":
        return cls(tuple(keywords), names, words=(*keywords, *map(_plain, names)))


Scope = tuple[tuple[Query, ...], bool, bool]
"""What decides which names may come, of all that a state knows."""


def scope(state: State) -> Scope:
    """The scope of a state: its queries without what names do not depend on."""
    queries = tuple(
        query._replace(outputs=(), item=None, has_aggregate=False, width=None)
        for query in state.queries()
    )
    return queries, state.is_within("aggregate"), bool(state.parens)


class Chooser:
    """Says which words may come next over one database."""

    def __init__(self, binding: Binding, names: Names) -> None:
        self._binding = binding
        self._references = binding.references
        self._columns = names.columns
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        self._names: dict[tuple[Scope, str], tuple[frozenset[str], ...]] = {}

    def choices(self, state: State) -> Choices:
        """The words that may come after a state; equal sets of words are one object."""
        found = self._found(state)
        names, keywords, words = (
            tuple(self._sets.setdefault(some, some) for some in sets)
            for sets in (found.names, found.keywords, found.words)
        )
        return found._replace(names=names, keywords=keywords, words=words)

    def _found(self, state: State) -> Choices:
        resolved = self._binding.resolved(state)
        if resolved is None:
            return Choices()
        previous = resolved.previous
        if expects_new_name(resolved):
            is_alias = resolved.query.clause in FROM_CLAUSES
            return Choices(any_name=True, taken=taken(resolved.query) if is_alias else frozenset())
        if previous == ".":
            if self._references.may_have_any_column(resolved):
                return Choices(any_name=True)
            return Choices.of(*self._names_in(resolved))
        if expects_table(resolved):
            return Choices.of(self._fitting_tables(resolved))
        if resolved.parens == "using":
            is_name = previous in ("(", ",")
            return Choices.of(resolved.query.common_columns()) if is_name else Choices()
        if previous == "type name":
            return Choices.of(keywords=(TYPES,))
        if previous in FOLLOWERS:
            return Choices.of(keywords=(FOLLOWERS[previous],))
        if expects_operand(resolved):
            return self._operand(resolved)
        return self._after_source(resolved)

    def _keywords(self, state: State) -> frozenset[str]:
        """The keywords that may come after an operand, a source or a clause."""
        words = words_after(state)
        for alike in (FROM, AFTER_FROM, IN_FROM):  # all may come, or none
            some = words & alike
            if some and self._binding.read(state, Lexeme("word", min(some))) is None:
                words -= alike
        return words

    def _after_source(self, state: State) -> Choices:
        """A keyword, or an alias."""
        choices = Choices.of(keywords=(self._keywords(state),))
        if state.previous != "table":
            return choices
        # People who leave out AS often take initials, such as sd where s is taken.
        numbered = frozenset(filter(is_numbered, taken(state.query)))
        return choices._replace(any_name=True, taken=numbered)

    def _fitting_tables(self, state: State) -> frozenset[str]:
        tables = self._references.visible_tables(state)
        return frozenset(table.name for table in tables if self._references.fits(state, table))

    def _candidates(self, state: State) -> frozenset[str]:
        """All columns that any table or source in sight has."""
        in_sight = [source for query in state.queries() for source in query.sources]
        in_sight += self._references.visible_tables(state)
        return self._columns.union(*(source.columns for source in in_sight))

    def _operand(self, state: State) -> Choices:
        """Keywords, columns without a qualifier, qualifiers and functions."""
        words = openers(state.previous, state.parens)
        if must_open(state):
            return Choices.of(keywords=(words,))
        names = self._names_in(state)
        if state.query.orders_outputs:
            return Choices.of(*names)
        return Choices.of(*names, keywords=(words | OPERANDS, *self._calls(state)))

    def _names_in(self, state: State) -> tuple[frozenset[str], ...]:
        """The columns, computed ones too, behind the qualifier that was read; qualifiers if none.

        Most states share theirs with others, and to refer to each column takes long.
        """
        key = (scope(state), state.qualifier)
        if key not in self._names:
            self._names[key] = tuple(self._found_names(state))
        return self._names[key]

    def _found_names(self, state: State) -> Iterator[frozenset[str]]:
        refer, qualifier = self._references.refer, state.qualifier
        candidates = self._candidates(state)
        if not qualifier:
            candidates |= state.query.aliases.union(state.query.first_outputs or ())
        yield frozenset(name for name in candidates if refer(state, qualifier, name) is not None)
        if state.query.orders_outputs:
            return
        yield from self._references.computed(state, qualifier)
        if not qualifier:
            yield from self._qualifiers(state)

    def _qualifiers(self, state: State) -> Iterator[frozenset[str]]:
        sources: set[str] = set()
        for index in state.visible_queries():
            query = state.frames[index]
            assert isinstance(query, Query)
            sources |= {source.name for source in query.sources if source.columns}
            if query.clause == "select":
                sources |= {qualifier for qualifier, _ in query.pending}
                tables = list(self._references.visible_tables(state))
                sources |= {table.name for table in tables if table.columns}
                unusable = {table.name for table in tables if not table.columns}
                for aliases in self._references.aliases(state):
                    yield aliases if aliases.isdisjoint(unusable) else aliases - unusable
        yield frozenset(sources)

    def _calls(self, state: State) -> Iterator[frozenset[str]]:
        """The functions that may be called here."""
        for functions in (AGGREGATES, RANKINGS, FUNCTIONS):
            if open_call(state._replace(word=min(functions))) is not None:
                yield frozenset(functions)


def taken(query: Query) -> frozenset[str]:
    """The aliases that the last source should not have: it lacks their columns, or T1 has come.

    Those are left out with which an alias begins that waits for this source.
    """
    columns = set(query.source.columns if query.source else ())
    given = {source.name for source in query.sources}
    waiting = {alias for alias, _ in query.pending if alias} - given
    fit = {alias for alias in waiting if wanted_of(query, alias) <= columns}
    others = (waiting - fit).union(filter(is_numbered, given))
    due = overdue(query)
    lower = lower_numbers(query, due)
    if due in fit or lower:
        others |= {f"{due[:-1]}{number}" for number in range(10)} - {due} - lower
    return frozenset(name for name in others if not any(alias.startswith(name) for alias in fit))


@lru_cache(MANY_SETS)
def _plain(names: frozenset[str]) -> frozenset[str]:
    return frozenset(filter(is_plain, names))
