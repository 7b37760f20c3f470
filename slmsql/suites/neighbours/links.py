"""Links from tables to their parents: foreign keys, columns that a query joins, texts of others.

`singer.city` refers to `city.id` by a foreign key; `flights.Airline` to `airlines.uid`, because a
query joins them; `river.traverse` to `state.state_name`, because it holds nothing but such names.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from slmsql.execution import reading
from slmsql.sql.quoting import quote_identifier
from slmsql.suites.neighbours.declared import ForeignKey
from slmsql.suites.neighbours.habits import (
    FEWEST,
    LIKELY,
    Value,
    agreeing_repeats,
    are_all_chosen,
    are_dates,
)
from slmsql.suites.neighbours.profile import (
    Link,
    Place,
    Profile,
    Table,
    parents_first,
    table_named,
)
from slmsql.suites.neighbours.rules import (
    all_occur,
    copied,
    count,
    never_before,
    referred,
    refers_to_itself,
    repeats,
)

MOST_KINDS = 5  # different values of a column that tells kinds of rows apart


def with_links(
    connection: sqlite3.Connection,
    table: Table,
    foreign_keys: Iterable[ForeignKey],
    tables: Sequence[Table],
) -> Table:
    """The table with its foreign keys; those to tables or columns that do not exist are left out.

    They hold in neighbours even where the original breaks them.
    """
    links = []
    for key in foreign_keys:
        parent = table_named(key.parent, tables)
        targets = _targets(key, parent) if parent else ()
        if parent and len(targets) == len(key.columns):
            links.append(_link(connection, table, key.columns, parent, targets))
    return replace(table, links=tuple(links), determined=tuple(_determined(table, links)))


def _targets(key: ForeignKey, parent: Table) -> tuple[int, ...]:
    """The columns that a foreign key refers to; those that do not exist are left out."""
    if None in key.references and parent.keys:
        return parent.keys[0]
    found = (parent.position(name or "") for name in key.references)
    return tuple(index for index in found if index is not None)


def _determined(table: Table, links: Sequence[Link]) -> Iterator[tuple[int, int]]:
    linked = {index for link in links for index in link.columns}
    for (target,) in (link.columns for link in links if len(link.columns) == 1):
        for index in (index for index in range(len(table.columns)) if index not in linked):
            if agreeing_repeats(table.column(index), table.column(target)) >= FEWEST:
                yield index, target


def _link(
    connection: sqlite3.Connection,
    table: Table,
    columns: tuple[int, ...],
    parent: Table,
    references: tuple[int, ...],
) -> Link:
    if len(columns) > 1:
        return Link(columns, parent.name, references)
    (column,), (reference,) = columns, references
    return Link(
        columns,
        parent.name,
        references,
        _is_total(connection, table, column, parent, reference),
        tuple(_copies(connection, table, column, parent, reference)),
        tuple(_later(connection, table, column, parent, reference)),
        tuple(_only(connection, table, column, parent, reference)),
        _is_reflexive(connection, table, column, parent, reference),
    )


def _is_total(
    connection: sqlite3.Connection, table: Table, column: int, parent: Table, reference: int
) -> bool:
    """Whether each parent has a child, and children at random would hardly have done so.

    Where all parents have exactly one, as restaurants a location, few show it.
    """
    name, key = table.columns[column], parent.columns[reference]
    parents, children = count(connection, parent.name), count(connection, table.name)
    is_one_each = parents == children >= FEWEST and not repeats(connection, table.name, [name])
    is_rule = is_one_each or are_all_chosen(parents, children)
    return is_rule and all_occur(connection, (parent.name, key), (table.name, name))


def _copies(
    connection: sqlite3.Connection, table: Table, column: int, parent: Table, reference: int
) -> Iterator[tuple[int, int]]:
    """Columns of the table and the parent in which linked rows always agree.

    They have the same name, or no linked rows among the sample differ.
    """
    if table.name == parent.name:
        return
    key = table.columns[column], parent.columns[reference]
    for here, there in _alike(table, column, parent, reference):
        names = table.columns[here], parent.columns[there]
        if copied(connection, table.name, parent.name, key, names, parent.column(there)):
            yield here, there


def _alike(table: Table, column: int, parent: Table, reference: int) -> Iterator[tuple[int, int]]:
    """Columns that may always agree: at most one of the parent for each, that of its name first."""
    home = {row[reference]: row for row in parent.rows}
    linked = [(row, home[row[column]]) for row in table.rows if row[column] in home]
    for here in (here for here in range(len(table.columns)) if here != column):
        same = parent.position(table.columns[here])
        agreeing = (
            there
            for there in range(len(parent.columns))
            if linked and all(row[here] == other[there] for row, other in linked)
        )
        there = same if same is not None else next(agreeing, None)
        if there not in (None, reference):
            yield here, there


def _only(
    connection: sqlite3.Connection, table: Table, column: int, parent: Table, reference: int
) -> Iterator[tuple[int, frozenset[Value]]]:
    """Columns of the parent in which parents with children have some of the values alone.

    Such is the position of those who are professors.
    """
    child = table.name, table.columns[column]
    kinds = [
        index
        for index in sorted(parent.closed - parent.linked)
        if len(set(parent.column(index))) <= MOST_KINDS
    ]
    for there in kinds if table.name != parent.name else ():
        home = parent.name, parent.columns[reference]
        number, values = referred(connection, child, home, parent.columns[there])
        share = sum(value in values for value in parent.column(there)) / len(parent.rows)
        if number >= FEWEST and share**number < LIKELY:
            yield there, frozenset(values)


def _is_reflexive(
    connection: sqlite3.Connection, table: Table, column: int, parent: Table, reference: int
) -> bool:
    names = table.columns[column], parent.columns[reference]
    return table.name == parent.name and refers_to_itself(connection, table.name, *names)


def _later(
    connection: sqlite3.Connection, table: Table, column: int, parent: Table, reference: int
) -> Iterator[tuple[int, int]]:
    """Columns of dates of the table and the parent, in which the parent's is never later."""
    if table.name == parent.name:
        return
    key = table.columns[column], parent.columns[reference]
    for here, there in product(_dates(table), _dates(parent)):
        names = table.columns[here], parent.columns[there]
        if never_before(connection, table.name, parent.name, key, names):
            yield here, there


def _dates(table: Table) -> list[int]:
    """The columns that hold nothing but dates."""
    columns = range(len(table.columns)) if table.rows else ()
    return [index for index in columns if are_dates(table.column(index))]


def with_joins(profile: Profile, joins: Iterable[tuple[Place, Place]]) -> Profile:
    """The profile with links for the columns that a query joins, where the original has no others.

    `flights.Airline` is such a link to `airlines.uid`: no foreign key is declared, but each airline
    of a flight is in the other table, whose numbers never repeat.
    """
    tables = {table.name: table for table in profile.tables}
    with reading(profile.database) as connection:
        for first, second in joins:
            for child, parent in ((first, second), (second, first)):
                tables[child[0]] = _joined(connection, tables, child, parent)
    return replace(profile, tables=tuple(parents_first(list(tables.values()))))


def _joined(
    connection: sqlite3.Connection, tables: Mapping[str, Table], child: Place, parent: Place
) -> Table:
    """The table of the child, with a link to the parent if the values allow it."""
    table, column = tables[child[0]], child[1]
    other, reference = tables[parent[0]], parent[1]
    is_parent = (reference,) in other.keys and (column,) not in table.keys
    if column in table.linked or not is_parent or table.name == other.name:
        return table
    here = table.name, table.columns[column]
    if not all_occur(connection, here, (other.name, other.columns[reference])):
        return table
    link = _link(connection, table, (column,), other, (reference,))
    rules = table.combinations.without_targets({column})
    return replace(table, links=(*table.links, link), combinations=rules)


def with_inclusions(connection: sqlite3.Connection, table: Table, tables: Sequence[Table]) -> Table:
    """The table with links for texts that always occur in a column elsewhere.

    That column has the same name, or holds names, as `river.traverse` has names of states. One that
    holds names goes first; then one that is called after its table, as `state.state_name`.
    """
    free = [group[0] for group in table.groups if len(group) == 1]
    links = []
    for index in (index for index in free if index not in table.linked | table.names):
        homes = [
            (parent, place)
            for parent, place in _homes(table, index, tables)
            if _is_included(connection, table, index, parent, place)
        ]
        if homes:
            parent, place = max(homes, key=_is_home_of_names)
            links.append(_link(connection, table, (index,), parent, (place,)))
    return replace(table, links=(*table.links, *links))


def _homes(table: Table, index: int, tables: Sequence[Table]) -> Iterator[tuple[Table, int]]:
    """Columns elsewhere in which the values of a column may all occur."""
    for parent in tables:
        if parent.name != table.name and table.name not in parent.parents:
            same = parent.position(table.columns[index])
            places = parent.names if same is None else parent.names | {same}
            yield from ((parent, place) for place in sorted(places))


def _is_home_of_names(home: tuple[Table, int]) -> tuple[bool, bool]:
    parent, place = home
    return place in parent.names, parent.name.lower() in parent.columns[place].lower()


def _is_included(
    connection: sqlite3.Connection, table: Table, index: int, parent: Table, place: int
) -> bool:
    values = {value for value in table.column(index) if value is not None}
    if len(values) < FEWEST or not all(isinstance(value, str) for value in values):
        return False
    name = quote_identifier(parent.columns[place])
    query = f"SELECT 1 FROM {quote_identifier(parent.name)} WHERE {name} = ? LIMIT 1"
    return all(connection.execute(query, (value,)).fetchone() for value in values)
