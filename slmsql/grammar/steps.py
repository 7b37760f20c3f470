"""What a lexeme changes, whatever names the database has: keywords, marks, numbers."""

from slmsql.grammar.expectations import (
    AGGREGATING,
    CALL_KINDS,
    COMPLETE,
    OPERAND_ENDS,
    expects_operand,
    expects_table,
    must_open,
)
from slmsql.grammar.references import FROM_CLAUSES, may_be_named
from slmsql.grammar.scopes import Parens, Query, State
from slmsql.grammar.words import AGGREGATES, FRAME_NUMBERS, FUNCTIONS, MANY, RANKINGS

CALLS = {**FUNCTIONS, **AGGREGATES, **RANKINGS}
# What may stand before the closing parenthesis besides operands.
CLOSING_STATES = {
    "aggregate": frozenset({"counted"}),
    "columns": frozenset({"named"}),
    "using": frozenset({"named"}),
    "cast": frozenset({"type"}),
    "size": frozenset({"type size"}),
    "over": frozenset({"framed"}),
    "over order": frozenset({"direction", "nulls direction", "framed"}),
}
AFTER_PARENS = {
    "columns": "columns",
    "using": "condition",
    "size": "type",
    "aggregate": "called",
    "distinct": "called",
    "filter": "filtered",
    "ranking": "ranked",
}
# Frames that a parenthesis cannot close.
UNCLOSED = frozenset(
    ["case", "when", "then", "else", "between", "derived", "exists", "cte", "row", "rows"]
)
# What comes before a number that may be the position of a column in ORDER BY or GROUP BY.
BEFORE_POSITIONS = frozenset({"by", ","})
# What a row value, such as (a, b), may follow: a condition must begin there.
BEFORE_ROWS = frozenset({"where", "and", "or", "on", "having", "when"})


def follower(state: State, word: str) -> State | None:
    """The word that had to follow a keyword."""
    previous = state.previous
    if previous == "collate":
        return state.after("operand")
    if previous in ("cte name", "columns"):
        return state.after("as")
    if previous == "nulls":
        return state.after("nulls direction")
    if previous in ("row", "not after row"):
        return state.after("in rows" if word == "in" else "not after row")
    if previous == "not after operand":
        return state.after("operand") if word == "null" else binary(state, word)
    if word == "select":
        return begin_query(state, word)
    return state.after("union all" if word == "all" else word)


def opener(state: State, word: str) -> State:
    """The first keyword in parentheses, in CASE, or after SELECT."""
    if word == "distinct" and state.parens == "aggregate":
        return state.renamed("distinct", "distinct")
    if word == "when":
        return state.renamed("when", "when")
    return state.renamed("over order", word) if word == "order" else state.after(word)


def begin_query(state: State, word: str) -> State:
    """SELECT or WITH, of a subquery if parentheses have just been opened."""
    if state.parens:
        cte = state.query.cte if state.parens == "cte" else None
        width = len(cte.columns) if cte and cte.columns else state.row_width
        subquery = Query(state.parens, width=width)
        state = state.in_item()._replace(frames=(*state.frames, subquery))
    return state.after(word, state.query._replace(clause=word))


def binary(state: State, word: str) -> State:
    """A keyword that goes on with an expression."""
    if word in ("isnull", "notnull"):
        return state.after("operand")
    if word == "between":
        return state.opened("between", "between")
    return state.after("not after operand" if word == "not" else word)


def operator(state: State, kind: str) -> State | None:
    """An operator: binary, a comparison, unary, or a sign, which may be both."""
    if state.previous == "row":
        return state.after("row comparison") if kind == "comparison" else None
    if expects_operand(state):
        is_sign = kind in ("sign", "unary") and not must_open(state)
        return state.in_item().after("sign") if is_sign else None
    can_go_on = state.previous in OPERAND_ENDS and not state.query.orders_outputs
    return state.in_item().after("operator") if can_go_on and kind != "unary" else None


def open_call(state: State) -> State | None:
    """The parenthesis after a function's name, which is `state.word`."""
    word, query = state.word, state.query
    if state.may_be_text or query.orders_outputs or word not in CALLS:
        return None
    if word in AGGREGATES or word in RANKINGS:
        clauses = {"select", "order", "having"} if word in AGGREGATES else {"select", "order"}
        if query.clause not in clauses or state.is_within(*AGGREGATING):
            return None
        if word in RANKINGS and state.is_within("over", "ranking"):
            return None
        if query.clause == "order" and word in AGGREGATES and not query.is_aggregate:
            return None
        is_aggregate = query.is_aggregate or word in AGGREGATES
        counted = query._replace(has_aggregate=True, is_aggregate=is_aggregate)
        state = state.after("word", counted)
    kind = "aggregate" if word in AGGREGATES else "ranking" if word in RANKINGS else "call"
    opened = state.in_item().opened(kind)
    fewest, most = CALLS[word]
    parens = Parens(kind, word, fewest, most)
    return opened._replace(frames=(*opened.frames[:-1], parens))


def close_parenthesis(state: State, parens: Parens) -> State | None:
    """The closing parenthesis of the innermost ones."""
    kind, previous = parens.kind, state.previous
    if kind in UNCLOSED:
        return None
    if previous == "(":
        may_be_empty = kind in ("in", "over") or (kind in CALL_KINDS and parens.fewest == 0)
        return state.closed(AFTER_PARENS.get(kind, "operand")) if may_be_empty else None
    ends = CLOSING_STATES.get(kind, frozenset())
    if previous not in (ends if kind == "cast" else OPERAND_ENDS | ends | {"row condition"}):
        return None
    if parens.commas + 1 < parens.fewest:
        return None
    if parens.commas and kind == "group":
        row = Parens("row", most=parens.commas + 1)
        return state.closed("row")._replace(frames=(*state.frames[:-1], row))
    if kind == "row value":
        return state.closed("row").closed("row condition")
    return state.closed(AFTER_PARENS.get(kind, "operand"))


def comma(state: State) -> State | None:
    """A comma: between items, sources, arguments, CTEs or the numbers of LIMIT."""
    query, parens = state.query, state.frames[-1]
    if state.previous == "cte":
        return state.after("with")
    if state.previous not in COMPLETE | {"type size", "named"}:
        return None
    if isinstance(parens, Parens):
        if parens.kind in ("in", "over", "over order", "columns", "using"):
            return state.after(",")
        has_places = parens.kind in CALL_KINDS | {"size", "group", "row value"}
        if not has_places or parens.commas + 1 >= parens.most:
            return None
        more = parens._replace(commas=parens.commas + 1)
        previous = "(" if parens.kind == "size" else ","
        return state.after(previous)._replace(frames=(*state.frames[:-1], more))
    if query.clause in ("group", "order"):
        return state.after(",")
    if query.clause == "limit":
        return state.after("offset") if state.previous == "limited" else None
    if query.clause == "select":
        is_last = query.width is not None and len(query.outputs) + 1 >= query.width
        return None if query.is_operand or is_last else state.after(",", query.with_item())
    if query.clause not in FROM_CLAUSES:
        return None
    complete = with_source(query)
    if complete is None:
        return None
    return state.after("from", complete._replace(clause="from"))


def number(state: State, text: str) -> State | None:
    """A number: an operand, a position in ORDER BY, a limit, a size of a type or of a frame."""
    previous = state.previous
    if previous in FRAME_NUMBERS:
        return state.after(FRAME_NUMBERS[previous])
    if previous in ("limit", "offset"):
        is_whole = text.isdigit()
        return state.after("limited" if previous == "limit" else "limit over") if is_whole else None
    if state.parens == "size":
        return state.after("type size") if previous == "(" else None
    if not expects_operand(state) or must_open(state):
        return None
    query = state.query
    is_position = not state.parens and query.clause in ("group", "order")
    if is_position and previous in BEFORE_POSITIONS:  # ORDER BY 2: by the second column
        if not (text.isdigit() and 1 <= int(text) <= len(query.columns())):
            return None
    elif query.orders_outputs:
        return None
    return state.in_item().after("operand")


def open_parenthesis(state: State) -> State | None:
    """An opening parenthesis that does not belong to a call."""
    previous = state.previous
    if previous == "cte name":
        return state.opened("columns")
    if previous == "as" and state.query.clause == "with":
        return state.opened("cte")
    if previous == "type":
        size = state.opened("size")
        return size._replace(frames=(*state.frames, Parens("size", most=2)))
    if expects_table(state):
        return state.opened("derived")
    if previous in ("in rows", "row comparison"):
        width = state.row_width or 0
        value = Parens("rows" if previous == "in rows" else "row value", fewest=width, most=width)
        return state.after("(")._replace(frames=(*state.frames, value))
    if previous in ("in", "exists", "over", "filter", "cast", "using"):
        return state.in_item().opened(previous)
    if not expects_operand(state) or must_open(state) or state.query.orders_outputs:
        return None
    group = Parens("group", most=MANY if previous in BEFORE_ROWS else 0)
    opened = state.in_item().opened("group")
    return opened._replace(frames=(*opened.frames[:-1], group))


def with_source(query: Query, *, before_using: bool = False) -> Query | None:
    """The query when the alias of its last source can no longer follow."""
    source = query.source
    if source is None:
        return query
    if source.name and not may_be_named(query, source):
        return None
    merged = query.merged
    if query.clause == "natural":
        merged = frozenset(column for column in source.columns if query.sources_with(column) == 1)
    elif not before_using:
        merged -= set(source.columns)
    return query._replace(source=None, sources=(*query.sources, source), merged=merged)
