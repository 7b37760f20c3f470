"""Reads a SELECT statement lexeme by lexeme, and says which lexemes may come next.

After `SELECT T2.age FROM`, no table without `age` can become T2, and WHERE comes only after T2 has
come. After `FROM singer AS T1 JOIN song AS T2 WHERE T2.`, only columns of `song` can come.

The reader knows SQLite's syntax, the names of the database, aliases, CTEs and names of outputs,
where aggregates are allowed, and how many columns a subquery and arguments a function may have.
No prefix is a dead end: what waits for FROM can be resolved by further tables, or at least by a
subquery in FROM. Not read, although SQLite takes them: ESCAPE, VALUES, named windows,
output names without AS, numbers with exponents, RIGHT and FULL joins, ON conditions that name
later tables.

States are immutable and shared, so that the equal prefixes of many samples are read once.
"""

from slmsql.grammar.expectations import (
    COMPLETE,
    OPERAND_ENDS,
    expects_name,
    expects_new_name,
    expects_operand,
    expects_table,
    must_open,
    words_after,
)
from slmsql.grammar.lexemes import DOT, END, OPEN, Lexeme
from slmsql.grammar.names import (
    NEVER_NAMES,
    Names,
)
from slmsql.grammar.references import FROM_CLAUSES, References, has_column, may_be_named
from slmsql.grammar.scopes import (
    STAR,
    Parens,
    Query,
    Source,
    State,
)
from slmsql.grammar.steps import (
    BEFORE_POSITIONS,
    begin_query,
    binary,
    close_parenthesis,
    comma,
    follower,
    number,
    open_call,
    open_parenthesis,
    opener,
    operator,
    with_source,
)
from slmsql.grammar.words import (
    BINARY,
    COMPOUNDS,
    FOLLOWERS,
    FRAME_STEPS,
    IN_FROM,
    ONLY_OPENERS,
    OPERANDS,
    TYPES,
    openers,
)

NAME_ENDS = Lexeme("", "")  # stands for whatever follows a name, other than a dot or parenthesis
# Stand for all numbers, except where one may be a position in ORDER BY or GROUP BY.
WHOLE, DECIMAL = Lexeme("number", "1"), Lexeme("number", "1.5")
STATE_SIZE = 4_000  # bytes that a state takes, with what may follow it


class Binding:
    """Reads statements over one database."""

    def __init__(self, names: Names) -> None:
        self.references = References(names)
        self._states: dict[State, State] = {}
        self._next: dict[tuple[int, Lexeme], State | None] = {}

    @property
    def start(self) -> State:
        """The state before the first lexeme."""
        return self._shared(State())

    def read(self, state: State, lexeme: Lexeme) -> State | None:
        """The state after one more lexeme; None if it may not come.

        Args:
            state: a state that this object returned.
        """
        if lexeme.kind == "string" and not expects_new_name(state):
            lexeme = Lexeme("string", "")
        if lexeme.kind == "number" and state.previous not in BEFORE_POSITIONS:
            lexeme = WHOLE if lexeme.text.isdigit() else DECIMAL
        key = (id(state), lexeme)
        if key not in self._next:
            after = self._read(state, lexeme)
            self._next[key] = None if after is None else self._shared(after)
        return self._next[key]

    def size(self) -> int:
        """About how many bytes are kept."""
        return len(self._states) * STATE_SIZE

    def _shared(self, state: State) -> State:
        return self._states.setdefault(state, state)

    def _read(self, state: State, lexeme: Lexeme) -> State | None:
        if state.word and lexeme == DOT:
            return self._behind(state)
        if state.word and lexeme == OPEN:
            return open_call(state)
        resolved = self.resolved(state)
        if resolved is None:
            return None
        if resolved.previous == "ended":
            return resolved if lexeme == END else None
        if lexeme.kind == "mark":
            return self._mark(resolved, lexeme.text)
        if lexeme.kind == "operator":
            return operator(resolved, lexeme.text)
        if lexeme.kind == "other":
            return None
        if lexeme.kind == "word":
            return self._word(resolved, lexeme.text)
        if lexeme.kind == "number":
            return number(resolved, lexeme.text)
        return self._quoted(resolved, lexeme)

    def _behind(self, state: State) -> State | None:
        """The dot after a name: of a source, or of one that FROM may still bring."""
        if state.query.orders_outputs:
            return None
        visible = (state.frames[index] for index in state.visible_queries())
        for query in visible:
            assert isinstance(query, Query)
            known = bool(query.columns_of(state.word))
            if known or (
                query.clause == "select" and self.references.may_become_source(state, query)
            ):
                return state._replace(
                    previous=".", word="", may_be_text=False, qualifier=state.word
                )
        return None

    # Words

    def _word(self, state: State, word: str) -> State | None:
        previous = state.previous
        if (previous, word) in FRAME_STEPS:
            return state.after(FRAME_STEPS[previous, word])
        if previous in FOLLOWERS:
            return follower(state, word) if word in FOLLOWERS[previous] else None
        if expects_operand(state):
            return self._operand(state, word)
        if (previous, word) == ("with", "recursive"):
            return state.after(word)
        if expects_name(state) or (previous == "table" and word not in NEVER_NAMES):
            return None if word in NEVER_NAMES else self._name(state, word)
        if previous == "type name":
            return state.after("type") if word in TYPES else None
        if word in words_after(state):
            return self._keyword(state, word)
        return None

    def _operand(self, state: State, word: str) -> State | None:
        """A word where an operand begins: a keyword that may stand before one, or a name."""
        if word in openers(state.previous, state.parens):
            if word in ("select", "with"):
                return begin_query(state, word)
            return opener(state, word)
        if state.previous == "(" and state.parens in ONLY_OPENERS:
            return None
        if word == "case":
            return state.in_item().opened("case", "case")
        if word in OPERANDS:
            has_more = word in ("not", "cast", "exists")
            return (
                None
                if state.query.orders_outputs
                else state.in_item().after(word if has_more else "operand")
            )
        return None if word in NEVER_NAMES else state._replace(previous="word", word=word)

    def _keyword(self, state: State, word: str) -> State | None:
        """A keyword after an operand or a source."""
        if word in ("asc", "desc"):
            return state.after("direction")
        if word == "nulls":
            return state.after("nulls")
        if word in ("over", "filter"):
            return state.after(word)
        if word == "as":
            return state.after("type name" if state.parens == "cast" else "as")
        if word in ("when", "then", "else"):
            return state.renamed(word, word)
        if word == "end":
            return state.closed("operand")
        if word in ("rows", "range", "offset"):
            return state.after(word)
        if word == "and" and state.parens == "between":
            return state.closed("between and")
        if word in BINARY:
            return binary(state.in_item(), word)
        return state.renamed("over order", word) if state.parens else self._clause(state, word)

    # Clauses

    def _clause(self, state: State, word: str) -> State | None:
        """A keyword that begins a clause, or continues FROM."""
        if word == "from":
            query = state.query.with_item()
            has_width = query.width in (None, len(query.outputs))
            return state.after("from", query._replace(clause="from")) if has_width else None
        if word in IN_FROM:
            complete = with_source(state.query, before_using=word == "using")
            clause = word if word in ("natural", "on", "using") else "join"
            if complete is None:
                return None
            return state.after(word, complete._replace(clause=clause))
        left = self._without_pending(state)
        if left is None:
            return None
        if word in COMPOUNDS:
            return left.after(word, left.query.next_select(word))
        is_aggregate = left.query.is_aggregate or word == "group"
        return left.after(word, left.query._replace(clause=word, is_aggregate=is_aggregate))

    def _without_pending(self, state: State) -> State | None:
        """The state when FROM is over, or SELECT without one: its sources are known.

        References that they do not resolve are passed on to the queries around.
        """
        query = state.query
        if query.clause == "select":
            query = query.with_item()
            has_star = any(output.endswith(STAR) for output in query.outputs)
            if has_star or query.width not in (None, len(query.outputs)):
                return None
        elif query.clause not in FROM_CLAUSES:
            return state
        complete = with_source(query)
        if complete is None:
            return None
        left: State | None = state.after(
            state.previous, complete._replace(clause="left", pending=frozenset())
        )
        for qualifier, column in sorted(complete.pending):
            is_own = column == STAR or (qualifier, column) in complete.own
            if left and is_own and has_column(left.query, qualifier, column, left) is None:
                return None
            left = left and self.references.refer(left, qualifier, column)
        return left

    # Marks, numbers, quotes

    def _mark(self, state: State, mark: str) -> State | None:
        if mark == "(":
            return open_parenthesis(state)
        if mark == ")":
            top = state.frames[-1]
            if isinstance(top, Parens):
                return close_parenthesis(state, top)
            return self._close_query(state)
        if mark == ",":
            return comma(state)
        if mark in (";", "end"):
            return self._end(state)
        if mark == STAR:
            return self._star(state)
        return None

    def _close_query(self, state: State) -> State | None:
        """The end of a subquery: an operand, a source or a CTE of the query around it."""
        if len(state.frames) == 1 or state.previous not in COMPLETE:
            return None
        left = self._without_pending(state)
        if left is None:
            return None
        kind = left.query.kind
        columns = left.query.named_columns()
        depth = 3 if kind in ("rows", "row value") else 2  # the query, and what it belongs to
        previous = "operand" if depth == 2 else "row condition"
        outer = left._replace(frames=left.frames[:-depth], previous=previous)
        query = outer.query
        if kind == "derived":
            return outer.after("table", query._replace(source=Source("", columns)))
        if kind == "cte" and query.cte:
            cte = Source(query.cte.name, query.cte.columns or columns)
            return outer.after("cte", query._replace(ctes=(*query.ctes, cte), cte=None))
        return outer

    def _star(self, state: State) -> State | None:
        query, parens = state.query, state.frames[-1]
        if state.previous in OPERAND_ENDS:
            return operator(state, "binary")
        if isinstance(parens, Parens):
            is_count = parens.function == "count" and state.previous == "("
            return state.after("counted") if is_count and parens.kind == "aggregate" else None
        if query.clause != "select" or query.is_operand or query.width is not None:
            return None
        if state.previous == ".":
            referred = self.references.refer(state, state.qualifier, STAR)
            if referred is None or query.item is not None:
                return None
            item = f"{state.qualifier}.{STAR}"
            return referred.after("star", referred.query._replace(item=item))
        if state.previous not in ("select", "distinct", "all", ","):
            return None
        return state.after("star", query._replace(item=STAR))

    def _end(self, state: State) -> State | None:
        if len(state.frames) > 1 or state.previous not in COMPLETE:
            return None
        left = self._without_pending(state)
        return left and left.after("ended")

    def _quoted(self, state: State, lexeme: Lexeme) -> State | None:
        """A text or a name in quotes; an unknown one in double quotes is a text for SQLite."""
        if expects_name(state):
            is_new = expects_new_name(state)
            return self._name(state, lexeme.text) if is_new or lexeme.kind != "string" else None
        if not expects_operand(state) or must_open(state):
            return None
        if lexeme.kind == "string":
            return None if state.query.orders_outputs else state.in_item().after("operand")
        may_be_text = lexeme.kind == "double"
        return state._replace(previous="word", word=lexeme.text, may_be_text=may_be_text)

    # Names

    def _name(self, state: State, name: str) -> State | None:
        query = state.query
        if state.previous == ".":
            return self.refer_behind(state, name)
        if expects_table(state):
            found = next((t for t in self.references.visible_tables(state) if t.name == name), None)
            if found is None or not self.references.fits(state, found):
                return None
            return state.after("table", query._replace(source=found))
        if state.parens == "using":
            merged = query._replace(merged=query.merged | {name})
            return state.after("named", merged) if name in query.common_columns() else None
        if query.clause == "with":
            return _with_cte_name(state, name)
        if query.clause == "select":
            return _with_output_name(state, name)
        return self._with_alias(state, name)

    def _with_alias(self, state: State, name: str) -> State | None:
        query = state.query
        named = query.source and query.source._replace(name=name)
        if named is None or not may_be_named(query, named):
            return None
        joined = query._replace(sources=(*query.sources, named))
        if not self.references.can_still_wait(state, joined, name):
            return None
        return state.after("alias", query._replace(source=named))

    def resolved(self, state: State) -> State | None:
        """The state when the name that was read last is a column, or a text in double quotes."""
        if not state.word:
            return state
        key = (id(state), NAME_ENDS)
        if key not in self._next:
            resolved = self._resolved(state)
            self._next[key] = resolved and self._shared(resolved)
        return self._next[key]

    def _resolved(self, state: State) -> State | None:
        column, unnamed = state.word, state._replace(word="", may_be_text=False)
        referred = self.references.refer(unnamed, "", column)
        if referred is not None:
            return self._as_item(state, referred, column)
        is_text = not any(query.sources_with(column) for query in state.queries())
        may_be_later = state.query.clause in ("select", "on")  # the column of a table to come
        is_text &= not may_be_later or column not in self.references.columns
        if state.may_be_text and is_text and not state.query.orders_outputs:
            return unnamed.in_item().after("operand")
        return None

    def refer_behind(self, state: State, column: str) -> State | None:
        """The state after a column behind the qualifier that was read."""
        referred = self.references.refer(state, state.qualifier, column)
        return referred and self._as_item(state, referred, column)

    def _as_item(self, before: State, after: State, column: str) -> State:
        """An item that is a column has its name."""
        after = after._replace(previous="operand", word="", qualifier="", may_be_text=False)
        if not before.parens and before.query.clause == "select" and before.query.item is None:
            return after.after("operand", after.query._replace(item=column))
        return after.in_item()


def _with_cte_name(state: State, name: str) -> State | None:
    query = state.query
    if state.parens == "columns":
        assert query.cte is not None
        cte = query.cte._replace(columns=(*query.cte.columns, name))
        return state.after("named", query._replace(cte=cte))
    if any(cte.name == name for cte in query.ctes):
        return None
    return state.after("cte name", query._replace(cte=Source(name, ())))


def _with_output_name(state: State, name: str) -> State:
    query = state.query
    aggregated = query.aggregated | ({name} if query.has_aggregate else set())
    aliases = query.aliases | {name}
    return state.after(
        "alias", query._replace(item=name, aliases=aliases, aggregated=frozenset(aggregated))
    )
