"""How far a statement has been read: the open queries, their sources, names that wait for FROM."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

Reference = tuple[str, str]
"""A column after its qualifier, which is empty if there is none; all names are folded."""

STAR = "*"


class Source(NamedTuple):
    """A table, CTE or subquery, and the name before its columns, which a subquery may lack."""

    name: str
    columns: tuple[str, ...]
    is_recursive: bool = False
    """Whether it is the CTE that is being defined."""


class Parens(NamedTuple):
    """Open parentheses, or a CASE or BETWEEN that is not complete.

    `kind` says what they belong to: a call, a group, IN, a subquery, ...
    """

    kind: str
    function: str = ""
    fewest: int = 0
    most: int = 0
    """The number of arguments, for calls."""
    commas: int = 0


class Query(NamedTuple):
    """A query, or one of several that UNION joins, up to where it has been read."""

    kind: str
    """`statement`, or the kind of the parentheses around a subquery."""
    clause: str = "start"
    # WITH
    ctes: tuple[Source, ...] = ()
    cte: Source | None = None
    """The CTE that is being defined."""
    # SELECT
    outputs: tuple[str, ...] = ()
    """Names of the selected columns: empty if it has none, `*`, `t1.*`."""
    item: str | None = None
    """The name of the item that is being read; None at its start."""
    has_aggregate: bool = False
    """Whether that item has an aggregate or a window."""
    is_aggregate: bool = False
    """Whether it has aggregates or GROUP BY, so that ORDER BY may have aggregates."""
    aliases: frozenset[str] = frozenset()
    aggregated: frozenset[str] = frozenset()
    """The aliases of items with aggregates."""
    width: int | None = None
    """The number of columns that it must select."""
    first_outputs: tuple[str, ...] | None = None
    """The columns of the first SELECT, if this is a further one."""
    set_operation: str = ""
    """Union, intersect or except, before a further SELECT."""
    pending: frozenset[Reference] = frozenset()
    """References that FROM must resolve, or a query around this one."""
    own: frozenset[Reference] = frozenset()
    """Those within aggregates, which otherwise would be aggregates of a query around this one."""
    # FROM
    sources: tuple[Source, ...] = ()
    source: Source | None = None
    """The last source, whose alias may still follow."""
    merged: frozenset[str] = frozenset()
    """Columns that USING or NATURAL made one."""

    @property
    def is_operand(self) -> bool:
        """Whether it may select one column only."""
        return self.kind in ("group", "in")

    @property
    def orders_outputs(self) -> bool:
        """Whether it is ORDER BY after UNION, where only names of outputs may stand."""
        return self.clause == "order" and self.first_outputs is not None

    @property
    def may_recurse(self) -> bool:
        """Whether its FROM may name the CTE that it defines: after UNION, and once."""
        sources = (*self.sources, *([self.source] if self.source else []))
        has_recursed = any(source.is_recursive for source in sources)
        is_second = self.kind == "cte" and self.set_operation == "union"
        return is_second and not has_recursed and not self.is_aggregate

    def waiting_for(self, qualifier: str, column: str, *, is_own: bool = False) -> "Query":
        """The query when FROM must also resolve this reference."""
        reference = frozenset({(qualifier, column)})
        own = self.own | reference if is_own else self.own
        return self._replace(pending=self.pending | reference, own=own)

    def with_item(self) -> "Query":
        """The query when the item that was read is complete."""
        outputs = (*self.outputs, self.item or "")
        return self._replace(outputs=outputs, item=None, has_aggregate=False)

    def columns(self) -> tuple[str, ...]:
        """The names of its columns, with those of its sources in the place of stars."""
        if self.first_outputs is not None:
            return self.first_outputs
        names: list[str] = []
        for output in self.outputs:
            if output == STAR:
                names += chain.from_iterable(source.columns for source in self.sources)
            elif output.endswith(".*"):
                names += self.columns_of(output.removesuffix(".*")) or ()
            else:
                names.append(output)
        return tuple(names)

    def named_columns(self) -> tuple[str, ...]:
        """The names of its columns that have one."""
        return tuple(filter(None, self.columns()))

    def columns_of(self, name: str) -> tuple[str, ...] | None:
        """The columns that can be named behind the name of a source, if there is one.

        SQLite lets sources share a name; a column that two of them have is ambiguous behind it.
        """
        named = [source.columns for source in self.sources if source.name == name]
        if len(named) < 2:
            return named[0] if named else None
        number = Counter(chain.from_iterable(map(frozenset, named)))
        return tuple(column for column in chain(*named) if number[column] == 1)

    def sources_with(self, column: str) -> int:
        """In how many sources a column is found by its name alone; two or more are ambiguous."""
        number = sum(column in source.columns for source in self.sources)
        return min(number, 1) if column in self.merged else number

    def common_columns(self) -> frozenset[str]:
        """The columns of the last source that earlier ones have as well."""
        *earlier, last = self.sources
        before = self._replace(sources=tuple(earlier))
        return frozenset(column for column in last.columns if before.sources_with(column) == 1)

    def next_select(self, set_operation: str) -> "Query":
        """The query when a further SELECT begins after UNION, INTERSECT or EXCEPT."""
        has_star = any(output.endswith(STAR) for output in self.outputs)
        width = None if has_star else len(self.outputs)
        return Query(
            self.kind,
            ctes=self.ctes,
            width=self.width or width,
            first_outputs=self.columns(),
            set_operation=set_operation,
        )


Frame = Query | Parens


class State(NamedTuple):
    """What is open after some lexemes, and what the last lexeme was."""

    frames: tuple[Frame, ...] = (Query("statement"),)
    previous: str = "start"
    """A keyword, a mark, or what kind of thing has been completed, such as `operand`."""
    word: str = ""
    """A name that the next lexeme makes a qualifier, a function or a column."""
    may_be_text: bool = False
    """Whether that name is in double quotes, so that it is a text if no column has it."""
    qualifier: str = ""

    @property
    def query(self) -> Query:
        """The innermost query."""
        top = self.frames[-1]
        return top if isinstance(top, Query) else next(self.queries())

    def queries(self) -> Iterator[Query]:
        """The open queries from the innermost outwards."""
        return (frame for frame in reversed(self.frames) if isinstance(frame, Query))

    @property
    def parens(self) -> str:
        """The kind of the innermost parentheses, if they are within the innermost query."""
        top = self.frames[-1]
        return top.kind if isinstance(top, Parens) else ""

    @property
    def row_width(self) -> int | None:
        """The number of columns of the row value to which one is compared, if that is so."""
        top = self.frames[-1]
        if isinstance(top, Parens) and top.kind in ("row", "rows", "row value"):
            return top.most
        return None

    def is_within(self, *kinds: str) -> bool:
        """Whether the innermost query is within parentheses of such a kind that belong to it."""
        for frame in reversed(self.frames):
            if isinstance(frame, Query):
                return False
            if frame.kind in kinds:
                return True
        return False

    def visible_queries(self) -> Iterator[int]:
        """Where queries whose columns can be named are in `frames`, from the innermost outwards.

        A subquery in FROM or WITH does not see the query around it. GROUP BY and ORDER BY see no
        query around theirs.
        """
        hidden = False
        for index in range(len(self.frames) - 1, -1, -1):
            frame = self.frames[index]
            if isinstance(frame, Query):
                if not hidden:
                    yield index
                    if frame.clause in ("group", "order"):
                        return
                hidden = frame.kind in ("derived", "cte")

    def after(self, previous: str, query: Query | None = None) -> "State":
        """The state after a lexeme, with the innermost query changed."""
        if query is None:
            return self._replace(previous=previous, word="", qualifier="")
        index = max(i for i, frame in enumerate(self.frames) if isinstance(frame, Query))
        frames = (*self.frames[:index], query, *self.frames[index + 1 :])
        return self._replace(frames=frames, previous=previous, word="", qualifier="")

    def with_query(self, index: int, query: Query) -> "State":
        """The state with another query in the place of one of `frames`."""
        return self._replace(frames=(*self.frames[:index], query, *self.frames[index + 1 :]))

    def in_item(self) -> "State":
        """The state when the item that is being read is more than a column: it has no name."""
        query = self.query
        if query.clause != "select" or query.item == "":
            return self
        return self.after(self.previous, query._replace(item=""))

    def opened(self, kind: str, previous: str = "(") -> "State":
        """The state after an opening parenthesis, or the beginning of CASE or BETWEEN."""
        return self.after(previous)._replace(frames=(*self.frames, Parens(kind)))

    def closed(self, previous: str) -> "State":
        """The state after the innermost parentheses."""
        return self.after(previous)._replace(frames=self.frames[:-1])

    def renamed(self, kind: str, previous: str) -> "State":
        """The state with another kind of innermost parentheses."""
        parens = Parens(kind, fewest=1, most=1) if kind == "distinct" else Parens(kind)
        return self.after(previous)._replace(frames=(*self.frames[:-1], parens))


def is_covered(columns: frozenset[str], tables: Sequence[frozenset[str]]) -> bool:
    """Whether some of the tables together have each column exactly once."""
    if not columns:
        return True
    first = min(columns)
    return any(
        is_covered(columns - table, [other for other in tables if not other & table])
        for table in tables
        if first in table
    )


def without_qualifier(references: Iterable[Reference]) -> frozenset[str]:
    """The columns of the references that have no qualifier."""
    return frozenset(column for qualifier, column in references if not qualifier)
