"""Which sources and columns a name can stand for, also before FROM has named the sources.

Before FROM, a reference waits: `SELECT T2.age` is possible if some table in sight has `age`.
"""

from collections.abc import Iterator
from itertools import chain

from slmsql.grammar.expectations import AGGREGATING
from slmsql.grammar.names import COMPUTED, SUBQUERIES, THREE_LETTERS, Names, aliases_of_cte
from slmsql.grammar.scopes import STAR, Query, Source, State, is_covered, without_qualifier

FROM_CLAUSES = frozenset({"from", "join", "natural", "on", "using"})
UNKNOWN = ""  # stands for a column that no table has


class References:
    """Finds what names stand for in statements over one database."""

    def __init__(self, names: Names) -> None:
        self.columns = names.columns
        self._tables = tuple(Source(name, columns) for name, columns in names.tables.items())
        self._aliases = names.aliases()
        self._computed = (COMPUTED | names.computed_names()) - names.columns

    def refer(self, state: State, qualifier: str, column: str) -> State | None:
        """The state after a reference to a column; before FROM, the reference waits for it."""
        if state.query.orders_outputs and not state.parens:
            names = state.query.first_outputs or ()
            return state if not qualifier and column in names else None
        is_own = state.is_within(*AGGREGATING)
        for index in state.visible_queries():
            query = state.frames[index]
            assert isinstance(query, Query)
            if query.clause == "select":
                waiting = query.waiting_for(qualifier, column, is_own=is_own)
                if self._may_come(state, qualifier, column) and self._can_wait(state, waiting):
                    return state.with_query(index, waiting)
            elif (found := has_column(query, qualifier, column, state)) is not None:
                if not found or query.clause != "on" or is_numbered(qualifier):
                    return state if found else None
                # SQLite looks for it in all tables of FROM, so that no later one may have it.
                waiting = query.waiting_for(qualifier, column)
                can_wait = not qualifier or self.can_still_wait(state, waiting, qualifier)
                return state.with_query(index, waiting) if can_wait else None
            if is_own:
                return None
        return None

    def visible_tables(self, state: State) -> Iterator[Source]:
        """The tables that FROM may name; a CTE hides a table with its name."""
        queries = list(state.queries())
        if len(queries) > 1 and queries[0].may_recurse and (cte := queries[1].cte):
            yield Source(cte.name, cte.columns or queries[0].named_columns(), is_recursive=True)
        seen = {query.cte.name for query in queries if query.cte}
        for table in (*(cte for query in queries for cte in query.ctes), *self._tables):
            if table.name not in seen:
                seen.add(table.name)
                yield table

    def fits(self, state: State, table: Source) -> bool:
        """Whether each column that waits without a qualifier can still have exactly one source.

        If T2 waits after T3 has come, the next table must be fit to be T2, or be T1 if that is
        free. Otherwise a model writes T4, T5 and so on until its answer is cut off.
        """
        query = state.query
        due = overdue(query)
        if due and not lower_numbers(query, due) and not wanted_of(query, due) <= {*table.columns}:
            return False
        waiting = self._not_computed(state, without_qualifier(query.pending))
        found = frozenset(column for source in query.sources for column in source.columns)
        taken = waiting & (found | set(table.columns))
        if waiting & found & set(table.columns):
            return False
        tables = [waiting & set(other.columns) for other in self.visible_tables(state)]
        return is_covered(waiting - taken, [other for other in tables if not other & taken])

    def can_still_wait(self, state: State, query: Query, name: str) -> bool:
        """Whether one more table with this name can have all that still waits behind it.

        It must not have what was read, and must leave a column of the others that can be read.
        """
        known, wanted = frozenset(query.columns_of(name) or ()), wanted_of(query, name)
        rest = self._not_computed(state, wanted - known)
        return not rest or any(
            rest.issubset(table.columns)
            and not known.issubset(table.columns)
            and wanted.intersection(known).isdisjoint(table.columns)
            for table in self.visible_tables(state)
        )

    def aliases(self, state: State) -> Iterator[frozenset[str]]:
        """What may be written before FROM in the place of a table, by its kind."""
        if not any(table.columns for table in self.visible_tables(state)):
            return  # CTEs that are being defined hide all tables
        yield self._aliases
        ctes = [cte.name for query in state.queries() for cte in query.ctes]
        if ctes:
            yield THREE_LETTERS
        yield from map(aliases_of_cte, ctes)

    def may_become_source(self, state: State, query: Query) -> bool:
        """Whether FROM may still bring a source with the name that was read."""
        is_waited_for = any(qualifier == state.word for qualifier, _ in query.pending)
        tables = {table.name: table.columns for table in self.visible_tables(state)}
        is_table = bool(tables.get(state.word))
        is_alias = state.word not in tables and any(state.word in s for s in self.aliases(state))
        return is_waited_for or is_table or is_alias

    def computed(self, state: State, qualifier: str = "") -> Iterator[frozenset[str]]:
        """The names that a subquery in FROM may still define, if any may come."""
        if state.query.clause != "select":
            return
        known = frozenset(c for table in self.visible_tables(state) for c in table.columns)
        if is_numbered(qualifier):  # T1 nearly always stands for a table
            return
        computed = (self._computed, self._outputs(state)) if qualifier else self._computed_at(state)
        for names in computed:
            unknown = names if names.isdisjoint(known) else names - known
            if unknown and self.refer(state, qualifier, min(unknown)) is not None:
                yield unknown

    def may_have_any_column(self, state: State) -> bool:
        """Whether the qualifier that was read stands for a subquery that FROM will bring."""
        name = state.qualifier
        return name.startswith(SUBQUERIES) and self.refer(state, name, UNKNOWN) is not None

    def _may_come(self, state: State, qualifier: str, column: str) -> bool:
        """Whether a column that no table has can be a computed one of a subquery in FROM."""
        if qualifier or any(column in table.columns for table in self.visible_tables(state)):
            return True
        return any(column in names for names in self._computed_at(state))

    def _can_wait(self, state: State, query: Query) -> bool:
        """Whether tables and subqueries in FROM can resolve all that waits for it."""
        references, tables = query.pending, list(self.visible_tables(state))
        for name in {qualifier for qualifier, _ in references if qualifier}:
            wanted = {column for qualifier, column in references if qualifier == name} - {STAR}
            columns = self._not_computed(state, frozenset(wanted))
            named = [table for table in tables if table.name == name] or tables
            if not any(columns <= set(table.columns) for table in named):
                return name.startswith(SUBQUERIES)
        waiting = without_qualifier(references)
        found = [waiting & set(table.columns) for table in tables]
        computed = waiting - frozenset().union(*found)
        is_known = not self._not_computed(state, computed)
        return is_known and is_covered(waiting - computed, found)

    def _computed_at(self, state: State) -> Iterator[frozenset[str]]:
        yield self._computed if state.is_within("aggregate") else COMPUTED
        yield self._outputs(state)

    def _outputs(self, state: State) -> frozenset[str]:
        """Names that the statement has given to outputs: subqueries often give them again."""
        aliases = [query.aliases for query in state.queries() if query.aliases]
        return frozenset().union(*aliases) - self.columns if aliases else frozenset()

    def _not_computed(self, state: State, columns: frozenset[str]) -> frozenset[str]:
        """Those of the columns that no subquery in FROM is thought to define."""
        return columns - self._computed - self._outputs(state)


def wanted_of(query: Query, alias: str) -> frozenset[str]:
    """The columns that wait for a source with this name."""
    return frozenset(column for name, column in query.pending if name == alias) - {STAR}


def overdue(query: Query) -> str:
    """A numbered alias that waits although FROM has a later one, such as T2 after T3; or empty."""
    names = [source.name for source in query.sources]
    for alias in sorted({qualifier for qualifier, _ in query.pending}.difference(names)):
        stem, number = alias[:-1], alias[-1:]
        later = [name for name in names if name[:-1] == stem and name[-1:].isdecimal()]
        if number.isdecimal() and any(name[-1] > number for name in later):
            return alias
    return ""


def lower_numbers(query: Query, due: str) -> frozenset[str]:
    """The aliases below one that is overdue and that FROM has not given yet, as T1 is below T2."""
    lower = frozenset(f"{due[:-1]}{number}" for number in range(1, int(due[-1:] or 0)))
    return lower.difference(source.name for source in query.sources)


def may_be_named(query: Query, source: Source) -> bool:
    """Whether the last source may have its name, which earlier sources may have as well.

    Each column that was read behind the name must have exactly one source; all of them may wait
    for a later source of the name. T1 is given once, and to a source with all of its columns:
    a model that does otherwise has lost count.
    """
    columns, wanted = frozenset(source.columns), wanted_of(query, source.name)
    named = [other.columns for other in query.sources if other.name == source.name]
    if not named and wanted <= columns:
        return True
    earlier = frozenset(chain.from_iterable(named))
    shared, waiting = columns & earlier, wanted - earlier
    if is_numbered(source.name) or columns <= earlier or shared & wanted:
        return False
    if STAR in query.outputs or (source.name, STAR) in query.pending:
        return not shared and waiting <= columns
    return waiting <= columns or waiting.isdisjoint(columns)


def is_numbered(name: str) -> bool:
    """Whether a name ends in a digit, as T1 does."""
    return name[-1:].isdigit()


def has_column(query: Query, qualifier: str, column: str, state: State) -> bool | None:
    """Whether a query that is past SELECT has a column; None if others may have it."""
    if qualifier:
        columns = query.columns_of(qualifier)
        return None if columns is None else column == STAR or column in columns
    is_output = query.clause in ("where", "group", "having", "order") and column in query.aliases
    takes_aggregates = query.clause in ("having", "order") and not state.is_within("aggregate")
    if is_output and (takes_aggregates or column not in query.aggregated):
        return True
    number = query.sources_with(column)
    return None if number == 0 else number == 1
