"""A database as its neighbours see it: tables, some rows, and the rules that the rows follow.

    profile = read_profile(database)                # reading.py
    profile.table("stay").ordered                   # ((1, 2),): no stay ends before it starts

A neighbour is of use only if its rows could occur in reality. So what the original shows, declared
or not, holds in all neighbours. The fields of `Table` and `Link` are the list of these rules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slmsql.suites.neighbours.combinations import NO_RULES, Combinations
from slmsql.suites.neighbours.habits import FEWEST, Value

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
    """Columns, each with the parent's column of the same name, which always has the same value."""
    later: tuple[tuple[int, int], ...] = ()
    """Columns of dates, each with one of the parent that is never later."""
    only: tuple[tuple[int, frozenset[Value]], ...] = ()
    """Columns of the parent, each with the values of those parents that have children."""
    is_reflexive: bool = False
    """Whether a row of the original refers to itself."""


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
    """Columns, each with a link that it determines, as the name of a car determines its model."""
    nested: frozenset[int]
    """Columns in which one text contains another, such as Female and male."""
    cased: frozenset[int]
    """Columns in which many texts differ in case alone."""
    closed: frozenset[int]
    """Columns that hold a few values again and again, so that others are not to be expected."""
    rows: tuple[Row, ...]
    """Those that neighbours draw from."""
    combinations: Combinations = NO_RULES
    """The rules within a row."""
    totals: tuple[tuple[int, range], ...] = ()
    """Columns, each with the columns side by side that add up to it."""
    ordered: tuple[tuple[int, int], ...] = ()
    """Columns, each with another that is never below it, as the start and the end of a stay."""
    rising: tuple[tuple[int, int], ...] = ()
    """Keys, each with a column of dates that rises with it."""
    counters: tuple[tuple[int, int, Place], ...] = ()
    """Columns, each with a key and the column elsewhere that holds the key so many times."""
    lines: tuple[tuple[int, int, int], ...] = ()
    """Columns, each with one that numbers the rows with its value, and the first number."""
    mirror: tuple[int, int] | None = None
    """The two columns of a table in which each row (a, b) has a row (b, a)."""

    @property
    def is_complete(self) -> bool:
        """Whether it lists named things, such as continents, so that no rows are made up."""
        return bool(self.names) and len(self.rows) >= FEWEST

    @property
    def parents(self) -> set[str]:
        """The tables it refers to, by name."""
        return {link.parent for link in self.links}

    @property
    def numbers(self) -> list[tuple[int, ...]]:
        """The keys of one column that say nothing about the row: no name, reference or date."""
        meaning = self.names | self.linked | {key for key, _ in self.rising}
        return [key for key in self.keys if len(key) == 1 and meaning.isdisjoint(key)]

    @property
    def copied(self) -> set[int]:
        """The columns that have the values of a parent's columns."""
        return {here for link in self.links for here, _ in link.copies}

    @property
    def linked(self) -> set[int]:
        """The columns that refer to others."""
        return {index for link in self.links for index in link.columns}

    def column(self, index: int) -> list[Value]:
        """The values of a column, row by row."""
        return [row[index] for row in self.rows]

    def is_named(self, group: Iterable[int]) -> bool:
        """Whether one of the columns is a name."""
        return not self.names.isdisjoint(group)

    def position(self, column: str) -> int | None:
        """The position of a column, whose name may be in any case."""
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
        """The table of this name, in any case."""
        return table_named(name, self.tables)

    def is_reference(self, place: Place) -> bool:
        """Whether a column refers to rows, or is what others refer to."""
        return any(
            place in ((table.name, here), (link.parent, there))
            for table in self.tables
            for link in table.links
            for here, there in zip(link.columns, link.references, strict=True)
        )


def table_named(name: str, tables: Iterable[Table]) -> Table | None:
    """The table of this name, in any case."""
    return next((table for table in tables if table.name.lower() == name.lower()), None)


def parents_first(tables: Sequence[Table]) -> list[Table]:
    """Tables after those they refer to; where they refer in a circle, the circle is cut."""
    waiting, ordered = list(tables), list[Table]()
    while waiting:
        done = {table.name for table in ordered}
        ready = (table for table in waiting if table.parents <= done | {table.name})
        table = next(ready, waiting[0])
        waiting.remove(table)
        ordered.append(table)
    return ordered
