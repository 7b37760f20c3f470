"""What a statement expects next, whatever names its database has."""

from slmsql.grammar.scopes import Parens, State
from slmsql.grammar.words import AFTER_CLAUSES, AFTER_OPERANDS, BINARY, ONLY_OPENERS

CALL_KINDS = frozenset({"call", "aggregate", "distinct", "ranking"})
AGGREGATING = ("aggregate", "distinct", "filter")
# What an expression may end with.
OPERAND_ENDS = frozenset({"operand", "called", "filtered"})
# What an item, a clause or a statement may end with.
COMPLETE = OPERAND_ENDS | {
    *("star", "table", "alias", "direction", "nulls direction", "condition"),
    *("limited", "limit over", "row condition"),
}
# What an operand may follow.
BEFORE_OPERANDS = frozenset(
    [
        *("start", "select", "distinct", "all", "where", "on", "having", "by", "and", "or", "not"),
        *("is", "like", "glob", "between", "between and", "case", "when", "then", "else"),
        *("operator", "sign", ",", "("),
    ]
)


def expects_operand(state: State) -> bool:
    """Whether an operand must come, or a keyword before one."""
    if state.parens in ("columns", "using", "size"):
        return False
    top = state.frames[-1]
    if isinstance(top, Parens) and top.kind in CALL_KINDS and top.most == 0:
        return False
    return state.previous in BEFORE_OPERANDS


def must_open(state: State) -> bool:
    """Whether a keyword must come first, such as SELECT."""
    return state.previous == "start" or (state.previous == "(" and state.parens in ONLY_OPENERS)


def words_after(state: State) -> frozenset[str]:
    """Keywords that may come after an operand, a source or a clause."""
    previous, parens, query = state.previous, state.parens, state.query
    if previous == "ranked":
        return frozenset({"over"})
    if previous not in COMPLETE | {"framed", "counted"}:
        return frozenset({"recursive"}) if previous == "with" else frozenset()
    words: frozenset[str] = frozenset()
    if previous in OPERAND_ENDS and not query.orders_outputs:
        words |= BINARY if parens != "between" else {"and", "collate"}
    if previous == "row condition":  # not what binds more tightly than the comparison
        words |= {"and", "or"}
    if previous in ("called", "filtered"):
        may_be_window = query.clause in ("select", "order")
        may_be_window &= not state.is_within("over", "ranking", *AGGREGATING)
        words |= {"filter"} if previous == "called" else set()
        words |= {"over"} if may_be_window else set()
    if parens:
        return words | (AFTER_OPERANDS.get(parens, frozenset()) if previous != "framed" else set())
    if query.clause == "order" and previous in OPERAND_ENDS | {"direction"}:
        words |= {"nulls"} if previous == "direction" else {"asc", "desc", "nulls"}
    if query.clause == "limit":
        return words | ({"offset"} if previous == "limited" else set())
    words |= AFTER_CLAUSES.get(query.clause, frozenset())
    if query.clause == "select" and previous in OPERAND_ENDS:
        words |= {"as"}
    if previous == "table":
        words |= {"as"}
    if query.clause == "join" and query.source:
        joined = query._replace(sources=(*query.sources, query.source))
        words |= {"on", "using"} if joined.common_columns() else {"on"}
    return words


def expects_table(state: State) -> bool:
    """Whether a table or a subquery must come."""
    return not state.parens and state.previous in ("from", "join")


def expects_new_name(state: State) -> bool:
    """Whether a name must come that the statement defines."""
    if state.parens:
        return state.parens == "columns" and state.previous in ("(", ",")
    if state.query.clause == "with":
        return state.previous in ("with", "recursive")
    return state.previous == "as"


def expects_name(state: State) -> bool:
    """Whether a name must come: of a column, a table, or a new one."""
    return (
        state.previous == "."
        or (state.parens == "using" and state.previous in ("(", ","))
        or expects_table(state)
        or expects_new_name(state)
    )
