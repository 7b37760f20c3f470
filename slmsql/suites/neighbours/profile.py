"""What a neighbour of a database must keep: its schema, and the rules that its rows follow.

A neighbour is of use only if its rows could occur in reality. So what the original shows, declared
or not, holds in all neighbours: keys, columns without NULL, names that never repeat (and belong to
the same thing, such as Aruba and ABW), columns that determine each other (country and continent),
add up (a total) or follow each other (start and end), pairs that never repeat (a hero and a power),
parents that always have children (a car and its data) or at most one, values that a row shares with
the row it refers to, numbers that count the rows which refer to it, dates that rise with the
numbers of rows. Declared foreign keys hold even where the original breaks them. A text that always
occurs in the column of the same name in another table, or among its names (a state among the
states), does so in neighbours, too.
"""

import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import reading
from slmsql.sql.quoting import quote_identifier
from slmsql.suites.neighbours.habits import (
    FEWEST,
    Value,
    agreeing_repeats,
    are_all_chosen,
    are_counts,
    are_each_chosen_once,
    are_row_numbers,
    determines,
    is_cased,
    is_closed,
    is_nested,
    is_rising,
    never_exceeds,
    never_repeats,
    totals,
    would_repeat,
)
from slmsql.suites.neighbours.naming import Naming, read_naming
from slmsql.suites.neighbours.rules import copied, is_mirrored, repeats

FEWEST_ROWS = 3  # of a table without a key, to show that its links or whole rows never repeat
SAMPLE = 300  # rows of a table that neighbours draw from
LONGEST = 1000  # characters of a text, bytes of a blob
FRACTION = 64  # reals are rounded to 1/64, so that sums do not depend on the order of rows

Row = tuple[Value, ...]
Place = tuple[str, int]  # table, and position of the column in it


@dataclass(frozen=True, slots=True)
class Link:
    """Columns of a table, by position, whose values are a key of the table `parent`."""

    columns: tuple[int, ...]
    parent: str
    references: tuple[int, ...]
    is_total: bool = False
    """Whether each parent has a child in the original, too often for chance."""
    copies: tuple[tuple[int, int], ...] = ()
    """Columns with the parent's column of the same name, whose value they always have."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, some of its rows, and the rules that they follow. Columns are positions."""

    name: str
    statement: str
    """Its CREATE statement."""
    columns: tuple[str, ...]
    """Those that can be written: generated columns are not among them."""
    types: tuple[str, ...]
    keys: tuple[tuple[int, ...], ...]
    """Columns whose values, taken together, never repeat: declared, or shown by the original."""
    links: tuple[Link, ...]
    nullable: frozenset[int]
    """Columns that hold NULL in the original."""
    names: frozenset[int]
    """Columns of texts that never repeat."""
    groups: tuple[tuple[int, ...], ...]
    """All columns, in groups that determine each other; most stand alone."""
    determined: tuple[tuple[int, int], ...]
    """Columns with the link that each of them determines, as the name of a car its model."""
    nested: frozenset[int]
    """Columns of texts of which one contains another, such as Male and Female."""
    cased: frozenset[int]
    """Columns in which texts differ in case alone."""
    closed: frozenset[int]
    """Columns that hold a few values again and again, so that others are not to be expected."""
    rows: tuple[Row, ...]
    totals: tuple[tuple[int, range], ...] = ()
    """Columns with those side by side whose sum they are."""
    ordered: tuple[tuple[int, int], ...] = ()
    """Columns, each with another that is never below it, as the start and the end of a stay."""
    rising: tuple[tuple[int, int], ...] = ()
    """Keys, each with a column of dates that rises with it."""
    counters: tuple[tuple[int, int, Place], ...] = ()
    """Columns, keys, and columns of other tables in which the key occurs so many times."""
    mirror: tuple[int, int] | None = None
    """Two columns, of a table that holds no others, in which each row (a, b) has a row (b, a)."""

    @property
    def is_complete(self) -> bool:
        """Whether it lists named things, such as continents, so that no rows are made up."""
        return bool(self.names) and len(self.rows) >= FEWEST

    def is_named(self, group: Iterable[int]) -> bool:
        """Whether one of the columns is a name."""
        return not self.names.isdisjoint(group)

    def position(self, column: str) -> int | None:
        names = [name.lower() for name in self.columns]
        return names.index(column.lower()) if column.lower() in names else None


@dataclass(frozen=True, slots=True)
class Profile:
    """A database as its neighbours see it; parents stand before the tables that refer to them."""

    database: Path
    tables: tuple[Table, ...]
    before: tuple[str, ...]
    """Statements that create tables and unique indexes."""
    after: tuple[str, ...]
    """Statements that create other indexes, views and triggers."""
    declares_key: bool = True
    """Whether any table has a primary key or a unique column by declaration."""

    def table(self, name: str) -> Table | None:
        return next((t for t in self.tables if t.name.lower() == name.lower()), None)

    def is_reference(self, place: Place) -> bool:
        """Whether a column refers to rows, or is what others refer to."""
        return any(
            place in ((table.name, here), (link.parent, there))
            for table in self.tables
            for link in table.links
            for here, there in zip(link.columns, link.references, strict=True)
        )


def read_profile(database: Path, seed: int = 0) -> Profile:
    """Read schema, sample rows and rules of a database. It is opened immutable.

    Raises:
        FileNotFoundError, InputError: the file cannot be used, or has virtual tables or no table.
    """
    with reading(database) as connection:
        statements = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
            " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
        ).fetchall()
        created = {name: sql for kind, name, sql in statements if kind == "table"}
        if not created:
            raise InputError(f"{database} has no table")
        for name, sql in created.items():
            if sql.upper().startswith("CREATE VIRTUAL"):
                raise InputError(f"{database} has a virtual table ({name})")
        naming = _naming(connection, created)
        tables = [
            _table(connection, name, sql, naming, random.Random(f"{seed} {name}"))
            for name, sql in created.items()
        ]
        linked = [_with_links(connection, table, tables, naming) for table in tables]
        for index, table in enumerate(linked):
            table = _with_inclusions(connection, table, linked)
            linked[index] = _with_keys(connection, table)
        declares_key = any(
            _declared_keys(connection, name, _info(connection, name)) for name in created
        )
        linked = [replace(table, counters=tuple(_counters(table, linked))) for table in linked]
    first = [sql for kind, _, sql in statements if kind == "table" or _is_unique(kind, sql)]
    later = [sql for kind, _, sql in statements if kind != "table" and not _is_unique(kind, sql)]
    ordered = tuple(parents_first(linked))
    return Profile(database, ordered, tuple(first), tuple(later), declares_key)


def with_joins(profile: Profile, joins: Iterable[tuple[Place, Place]]) -> Profile:
    """The profile with links for the columns that a query joins, where the original has no others.

    `flights.Airline` is such a link to `airlines.uid`: no foreign key is declared, but each airline
    of a flight is in the other table, whose numbers never repeat.
    """
    tables = {table.name: table for table in profile.tables}
    with reading(profile.database) as connection:
        for pair in joins:
            for (child, column), (parent, reference) in (pair, pair[::-1]):
                table, other = tables[child], tables[parent]
                taken = {index for link in table.links for index in link.columns}
                is_parent = (reference,) in other.keys and (column,) not in table.keys
                if column in taken or not is_parent or child == parent:
                    continue
                if _all_occur(connection, table, column, other, reference):
                    link = _link(connection, table, (column,), other, (reference,))
                    tables[child] = replace(table, links=(*table.links, link))
    return replace(profile, tables=tuple(parents_first(list(tables.values()))))


def parents_first(tables: Sequence[Table]) -> list[Table]:
    """Tables after those they refer to; where they refer in a circle, the circle is cut."""
    waiting, ordered = list(tables), list[Table]()
    while waiting:
        done = {table.name for table in ordered}
        table = next(
            (t for t in waiting if {k.parent for k in t.links} <= done | {t.name}), waiting[0]
        )
        waiting.remove(table)
        ordered.append(table)
    return ordered


def _is_unique(kind: str, sql: str) -> bool:
    return kind == "index" and sql.upper().split()[1] == "UNIQUE"


def _info(connection: sqlite3.Connection, table: str) -> list[tuple[str, str, int]]:
    """The columns that can be written: name, declared type, place in the primary key."""
    return connection.execute(
        "SELECT name, type, pk FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,)
    ).fetchall()


def _naming(connection: sqlite3.Connection, tables: Iterable[str]) -> Naming:
    columns, declared, referring = {}, {}, {}
    for table in tables:
        info = _info(connection, table)
        names = columns[table] = [name for name, _, _ in info]
        keys = _declared_keys(connection, table, info)
        if keys:
            declared[table] = [names[key[0]] for key in keys if len(key) == 1]
        links = _foreign_keys(connection, table, names)
        referring[table] = [names[index] for link in links for index in link[0]]
    return read_naming(connection, columns, declared, referring)


def _table(
    connection: sqlite3.Connection, name: str, sql: str, naming: Naming, rng: random.Random
) -> Table:
    info = _info(connection, name)
    columns = tuple(column for column, _, _ in info)
    rows = tuple(sample_rows(connection, name, columns, rng))
    by_column = [[row[index] for row in rows] for index in range(len(columns))]
    declared = _declared_keys(connection, name, info)
    if name in naming.keys:
        declared.append((columns.index(naming.keys[name]),))
    links = {i for link in _foreign_keys(connection, name, columns) for i in link[0]}
    links |= {columns.index(column) for column, _, _ in naming.references[name]}
    names = [i for i, values in enumerate(by_column) if i not in links and never_repeats(values)]
    shown = [i for i, values in enumerate(by_column) if i not in links and are_row_numbers(values)]
    if any(len(key) == 1 for key in declared):
        shown = []
    keys = tuple(dict.fromkeys([*declared, *((index,) for index in [*names, *shown[:1]])]))
    free = [i for i in range(len(columns)) if i not in {*links, *names} and (i,) not in keys]
    return Table(
        name,
        sql,
        columns,
        tuple(kind for _, kind, _ in info),
        keys,
        (),
        frozenset(index for index, values in enumerate(by_column) if None in values),
        frozenset(names),
        _groups(by_column, free, names),
        (),
        frozenset(index for index, values in enumerate(by_column) if is_nested(values)),
        frozenset(index for index, values in enumerate(by_column) if is_cased(values)),
        frozenset(index for index, values in enumerate(by_column) if is_closed(values)),
        rows,
        tuple(totals(rows, free)),
        ordered=tuple(
            pair
            for pair in permutations(free, 2)
            if never_exceeds(by_column[pair[0]], by_column[pair[1]])
        ),
        rising=tuple(_rising(by_column, keys)),
    )


def _rising(
    columns: Sequence[Sequence[Value]], keys: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, int]]:
    for (key,) in (key for key in keys if len(key) == 1):
        for index, values in enumerate(columns):
            if index != key and is_rising(columns[key], values):
                yield key, index


def _counters(table: Table, tables: Sequence[Table]) -> Iterator[tuple[int, int, Place]]:
    """Columns that count the rows of another table which name the row by its key."""
    if len(table.rows) >= SAMPLE:
        return
    children = [
        (other.name, there, [row[there] for row in other.rows])
        for other in tables
        if other.name != table.name and len(other.rows) < SAMPLE
        for there in range(len(other.columns))
    ]
    for (key,) in (key for key in table.keys if len(key) == 1):
        for index in range(len(table.columns)):
            numbers = [(row[key], row[index]) for row in table.rows]
            place = next((c[:2] for c in children if are_counts(numbers, c[2])), None)
            if place and index != key:
                yield index, key, place


def sample_rows(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rng: random.Random
) -> list[Row]:
    """At most `SAMPLE` rows, spread over the table: rows stored together are often alike."""
    fields, source = ", ".join(map(quote_identifier, columns)), quote_identifier(table)
    first = connection.execute(f"SELECT {fields} FROM {source} LIMIT {SAMPLE + 1}").fetchall()
    if len(first) > SAMPLE:
        taken = {column.lower() for column in columns}
        name = next((n for n in ("rowid", "_rowid_", "oid") if n not in taken), "")
        first = _spread(connection, fields, source, name, rng) or first[:SAMPLE]
    return [shortened(row) for row in first]


def _spread(
    connection: sqlite3.Connection, fields: str, source: str, rowid: str, rng: random.Random
) -> list[Row]:
    """Rows at random numbers; none if the table has no row numbers."""
    try:
        bounds = f"SELECT min({rowid}), max({rowid}) FROM {source}"
        low, high = connection.execute(bounds).fetchone()
    except sqlite3.OperationalError:
        return []
    numbers = sorted(rng.randint(low, high) for _ in range(SAMPLE))
    query = f"SELECT {fields} FROM {source} WHERE {rowid} >= ? ORDER BY {rowid} LIMIT 1"
    return list(dict.fromkeys(connection.execute(query, (n,)).fetchone() for n in numbers))


def shortened(row: Iterable[Value]) -> Row:
    """The row with long texts and blobs cut off, so that neighbours stay small; reals rounded."""
    return tuple(
        value[:LONGEST]
        if isinstance(value, str | bytes)
        else round(value * FRACTION) / FRACTION
        if isinstance(value, float) and abs(value) < 2**40
        else value
        for value in row
    )


def _declared_keys(
    connection: sqlite3.Connection, table: str, info: Sequence[tuple[str, str, int]]
) -> list[tuple[int, ...]]:
    positions = {name: index for index, (name, _, _) in enumerate(info)}
    primary = sorted((pk, index) for index, (_, _, pk) in enumerate(info) if pk)
    keys = [tuple(index for _, index in primary)] if primary else []
    unique = connection.execute(
        'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (table,)
    ).fetchall()
    for (index,) in unique:
        parts = connection.execute("SELECT name FROM pragma_index_info(?)", (index,)).fetchall()
        if all(part in positions for (part,) in parts):  # not an expression
            keys.append(tuple(positions[part] for (part,) in parts))
    return keys


def _groups(
    columns: Sequence[Sequence[Value]], free: Sequence[int], names: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """All columns: names together, and those of the free ones of which one determines another."""
    groups = {index: {index} for index in range(len(columns))}
    groups |= {index: set(names) for index in names}
    for first in free:
        for second in free:
            if second not in groups[first] and determines(columns[first], columns[second]):
                merged = groups[first] | groups[second]
                groups |= dict.fromkeys(merged, merged)
    return tuple(sorted({tuple(sorted(group)) for group in groups.values()}))


def _foreign_keys(
    connection: sqlite3.Connection, table: str, columns: Sequence[str]
) -> list[tuple[tuple[int, ...], str, tuple[str | None, ...]]]:
    """(columns, parent, referenced names), as declared."""
    rows = connection.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq',
        (table,),
    ).fetchall()
    positions = {name.lower(): index for index, name in enumerate(columns)}
    keys = []
    for key in dict.fromkeys(number for number, *_ in rows):
        parts = [row for row in rows if row[0] == key]
        if all(row[2].lower() in positions for row in parts):
            places = tuple(positions[row[2].lower()] for row in parts)
            keys.append((places, parts[0][1], tuple(row[3] for row in parts)))
    return keys


def _with_links(
    connection: sqlite3.Connection, table: Table, tables: Sequence[Table], naming: Naming
) -> Table:
    links = []
    named = [
        ((table.columns.index(column),), parent, (key,))
        for column, parent, key in naming.references[table.name]
    ]
    for places, parent_name, references in [
        *_foreign_keys(connection, table.name, table.columns),
        *named,
    ]:
        parent = next((t for t in tables if t.name.lower() == parent_name.lower()), None)
        if parent is None:
            continue
        primary = parent.keys[0] if parent.keys and None in references else ()
        targets = primary or [parent.position(name or "") for name in references]
        if len(targets) == len(places) and None not in targets:
            known = tuple(target for target in targets if target is not None)
            links.append(_link(connection, table, places, parent, known))
    return replace(table, links=tuple(links), determined=tuple(_determined(table, links)))


def _determined(table: Table, links: Sequence[Link]) -> Iterator[tuple[int, int]]:
    linked = {index for link in links for index in link.columns}
    for (target,) in (link.columns for link in links if len(link.columns) == 1):
        second = [row[target] for row in table.rows]
        for index in range(len(table.columns)):
            first = [row[index] for row in table.rows]
            if index not in linked and agreeing_repeats(first, second) >= FEWEST:
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
    is_total = _is_total(connection, table, column, parent, reference)
    copies = tuple(_copies(connection, table, column, parent, reference))
    return Link(columns, parent.name, references, is_total, copies)


def _copies(
    connection: sqlite3.Connection, table: Table, column: int, parent: Table, reference: int
) -> Iterator[tuple[int, int]]:
    key = table.columns[column], parent.columns[reference]
    for here, name in enumerate(table.columns):
        there = parent.position(name)
        if there is None or here == column or there == reference or table.name == parent.name:
            continue
        values = [row[there] for row in parent.rows]
        if copied(connection, table.name, parent.name, key, name, values):
            yield here, there


def _is_total(
    connection: sqlite3.Connection, table: Table, column: int, parent: Table, reference: int
) -> bool:
    """Whether each parent has a child, and children at random would hardly have done so.

    Where all parents have exactly one, as restaurants a location, few show it.
    """
    parents, children = (_count(connection, t.name) for t in (parent, table))
    is_one_each = parents == children >= FEWEST and not repeats(
        connection, table.name, [table.columns[column]]
    )
    if not is_one_each and not are_all_chosen(parents, children):
        return False
    return _all_occur(connection, parent, reference, table, column)


def _count(connection: sqlite3.Connection, table: str, what: str = "*") -> int:
    query = f"SELECT count({what}) FROM {quote_identifier(table)}"
    count: int = connection.execute(query).fetchone()[0]
    return count


def _all_occur(
    connection: sqlite3.Connection, table: Table, column: int, other: Table, place: int
) -> bool:
    """Whether all values of a column, and there are some, occur in a column of another table."""
    here, there = quote_identifier(table.columns[column]), quote_identifier(other.columns[place])
    source, target = quote_identifier(table.name), quote_identifier(other.name)
    some, missing = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM {source} WHERE {here} IS NOT NULL), EXISTS ("
        f"SELECT 1 FROM {source} WHERE {here} NOT IN"
        f" (SELECT {there} FROM {target} WHERE {there} IS NOT NULL))"
    ).fetchone()
    return bool(some) and not missing


def _with_keys(connection: sqlite3.Connection, table: Table) -> Table:
    """The table with the keys and mirrored columns that only the original shows."""
    shown = [
        key
        for key in dict.fromkeys([*_single_keys(connection, table), *_wide_keys(table)])
        if not any(set(known) <= set(key) for known in table.keys)
        and not repeats(connection, table.name, [table.columns[index] for index in key])
    ]
    return replace(table, keys=(*table.keys, *shown), mirror=_mirror(connection, table))


def _mirror(connection: sqlite3.Connection, table: Table) -> tuple[int, int] | None:
    """The columns that mirror each other. With more columns it could be a habit, as of flights."""
    numbered = {known[0] for known in table.keys if len(known) == 1}
    pair = [index for index in range(len(table.columns)) if index not in numbered]
    if len(pair) != 2:
        return None
    first, second = pair
    rows = [(row[first], row[second]) for row in table.rows]
    names = table.columns[first], table.columns[second]
    return (first, second) if is_mirrored(connection, table.name, names, rows) else None


def _single_keys(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[int, ...]]:
    """Links that could not all be different by chance, as of professors to employees."""
    for link in (link for link in table.links if len(link.columns) == 1):
        column = quote_identifier(table.columns[link.columns[0]])
        parents, children = _count(connection, link.parent), _count(connection, table.name, column)
        if are_each_chosen_once(parents, children):
            yield link.columns


def _wide_keys(table: Table) -> Iterator[tuple[int, ...]]:
    """All links together, as a hero and a power; in a table without a key, pairs of columns.

    They are a key if the table holds nothing else or has no other key, or if some rows would repeat
    by chance. Whole rows do not repeat, either, in a table without a key.
    """
    linked = tuple(sorted({link.columns[0] for link in table.links if len(link.columns) == 1}))
    numbered = {known[0] for known in table.keys if len(known) == 1}
    is_all = len({*linked, *numbered}) == len(table.columns)
    if len(linked) > 1 and (is_all or would_repeat(table.rows, linked)):
        yield linked
    if not table.keys and len(table.rows) >= FEWEST_ROWS:
        yield from (key for key in (linked, tuple(range(len(table.columns)))) if key)
    if not table.keys:
        for pair in combinations(range(len(table.columns)), 2):
            if pair != linked and would_repeat(table.rows, pair):
                yield pair


def _with_inclusions(
    connection: sqlite3.Connection, table: Table, tables: Sequence[Table]
) -> Table:
    """The table with links for texts that always occur in a column elsewhere.

    That column has the same name, or holds names, as `river.traverse` has names of states. One that
    holds names goes first; then one that is called after its table, as `state.state_name`.
    """
    linked = {index for link in table.links for index in link.columns}
    free = [group[0] for group in table.groups if len(group) == 1]
    links = []
    for index in (index for index in free if index not in linked | table.names):
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
        if parent.name != table.name and all(link.parent != table.name for link in parent.links):
            same = parent.position(table.columns[index])
            places = parent.names if same is None else parent.names | {same}
            yield from ((parent, place) for place in sorted(places))


def _is_home_of_names(home: tuple[Table, int]) -> tuple[bool, bool]:
    parent, place = home
    return place in parent.names, parent.name.lower() in parent.columns[place].lower()


def _is_included(
    connection: sqlite3.Connection, table: Table, index: int, parent: Table, place: int
) -> bool:
    values = {row[index] for row in table.rows if row[index] is not None}
    if len(values) < FEWEST or not all(isinstance(value, str) for value in values):
        return False
    name = quote_identifier(parent.columns[place])
    query = f"SELECT 1 FROM {quote_identifier(parent.name)} WHERE {name} = ? LIMIT 1"
    return all(connection.execute(query, (value,)).fetchone() for value in values)
