"""A witness: the few rows on which a lucky prediction and the gold query part.

CREATE TABLE singer (name TEXT, age INTEGER);
INSERT INTO singer VALUES ('Ann', 30);
-- predicted: SELECT name FROM singer WHERE age >= 30   [('Ann',)]
-- gold:      SELECT name FROM singer WHERE age > 30    []
"""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

from slmsql.execution import (
    Execution,
    Executor,
    Filling,
    Pair,
    Statement,
    create_filled,
    reading,
)
from slmsql.match import Match
from slmsql.sql.quoting import quote_identifier, quote_value
from slmsql.suites.neighbours.building import usable
from slmsql.suites.neighbours.focus import read_focus
from slmsql.suites.neighbours.judging import parted
from slmsql.suites.neighbours.links import with_joins
from slmsql.suites.neighbours.profile import Link, Profile, Table
from slmsql.suites.neighbours.profile import Row as Stored
from slmsql.suites.neighbours.reading import read_profile

PREVIEW = 20  # rows of each result

Item = tuple[str, Stored]  # table and row


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Rows of a table, to show: in the columns that the queries name."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """A small database on which two queries have different results."""

    neighbour: Path
    """The database from which rows were taken away, as long as the results differed."""
    script: str
    """SQL that creates it."""
    tables: tuple[Excerpt, ...]
    """The rows that the queries read; the others are there because these refer to them."""
    predicted: Execution
    gold: Execution


def find_witness(neighbour: Path, pair: Pair, match: Match, executor: Executor) -> Witness:
    """The fewest rows of a neighbour on which the results still differ, by delta debugging.

    No row loses the row that it refers to, nor the child that each row of its table has in the
    original, and the gold result stays one that does not depend on the order of stored rows.

    Args:
        neighbour: on which the results differ.
        pair: both queries, and the original database.
        match: when two results agree.
        executor: runs the queries.
    """
    profile = _profile(neighbour, pair)
    items = [(t.name, row) for t in reversed(profile.tables) for row in t.rows]  # children first
    with tempfile.TemporaryDirectory() as folder:
        alone = _without_partner(profile, items)
        trials = _Trials(profile, pair, match, executor, Path(folder), alone)
        items = fewest(items, trials.differ, trials.with_partners)
        path = trials.write(items)
        statements = [Statement(path, sql) for sql in (pair.predicted, pair.gold)]
        results = executor.run(statements, preview=PREVIEW)
    return Witness(neighbour, script(profile, items), _excerpts(profile, items, pair), *results)


def _excerpts(profile: Profile, items: Sequence[Item], pair: Pair) -> tuple[Excerpt, ...]:
    """The tables and columns whose names occur in one of the queries."""
    words = set(re.findall(r"\w+", f"{pair.predicted} {pair.gold}".lower()))

    def occurs(name: str) -> bool:
        return words.issuperset(re.findall(r"\w+", name.lower()))

    return tuple(
        _excerpt(table, _rows(items, table), [occurs(column) for column in table.columns])
        for table in profile.tables
        if occurs(table.name)
    )


def _excerpt(table: Table, rows: Sequence[Stored], shown: Sequence[bool]) -> Excerpt:
    if not any(shown):
        shown = [True] * len(shown)
    columns = tuple(compress(table.columns, shown))
    return Excerpt(table.name, columns, tuple(tuple(compress(row, shown)) for row in rows))


def _profile(neighbour: Path, pair: Pair) -> Profile:
    """The rules of the original, and the rows of the neighbour exactly as they are."""
    profile = read_profile(pair.database)
    profile = with_joins(profile, read_focus(pair.gold or "", profile).equal)
    with reading(neighbour) as connection:
        tables = tuple(
            replace(table, rows=tuple(connection.execute(_all_rows(table))))
            for table in profile.tables
        )
    return replace(profile, database=neighbour, tables=tables)


def _all_rows(table: Table) -> str:
    columns = ", ".join(map(quote_identifier, table.columns))
    return f"SELECT {columns} FROM {quote_identifier(table.name)}"


def fewest(
    items: list[Item],
    holds: Callable[[list[Item]], bool],
    completed: Callable[[list[Item]], list[Item]],
) -> list[Item]:
    """The items without those that are not needed: halves first, then ever smaller parts.

    Args:
        items: all of them; they hold.
        holds: whether some of them still do.
        completed: some of them without those that cannot stand without the others.
    """
    size = max(1, len(items) // 2)
    while size:
        start = 0
        while start < len(items):
            fewer = completed(items[:start] + items[start + size :])
            if holds(fewer):
                items = fewer
            else:
                start += size
        size //= 2
    return items


@dataclass
class _Trials:
    profile: Profile
    pair: Pair
    match: Match
    executor: Executor
    folder: Path
    alone: set[Item]
    """The rows that have no partner in the neighbour itself."""
    count: int = 0

    def with_partners(self, items: list[Item]) -> list[Item]:
        """The rows without those that have lost a partner."""
        while lost := _without_partner(self.profile, items) - self.alone:
            items = [item for item in items if item not in lost]
        return items

    def differ(self, items: list[Item]) -> bool:
        path, gold = self.write(items), self.pair.gold or ""
        pair = Pair(path, self.pair.predicted, gold)
        differs = parted(
            [pair], self.match, lambda more, mode: self.executor.judge(more, match=mode)
        )
        return bool(differs[0]) and path in usable(gold, [path], self.executor)

    def write(self, items: Sequence[Item]) -> Path:
        self.count += 1
        path = self.folder / f"{self.count}.sqlite"
        fillings = {
            table.name: Filling(table.columns, _rows(items, table)) for table in self.profile.tables
        }
        create_filled(path, self.profile.before, fillings, self.profile.after)
        return path


def script(profile: Profile, items: Sequence[Item]) -> str:
    """SQL that creates the tables of these rows, and the rows."""
    lines = []
    for table in profile.tables:
        rows = _rows(items, table)
        if rows:
            names = ", ".join(map(quote_identifier, table.columns))
            lines.append(f"{table.statement};")
            lines += [
                f"INSERT INTO {quote_identifier(table.name)} ({names}) VALUES "
                f"({', '.join(map(quote_value, row))});"
                for row in rows
            ]
    return "\n".join(lines)


def _rows(items: Sequence[Item], table: Table) -> list[Stored]:
    return [row for name, row in items if name == table.name]


def _without_partner(profile: Profile, items: Sequence[Item]) -> set[Item]:
    """The rows that refer to rows which are not there, or lack the child that each of them has."""
    alone: set[Item] = set()
    for table in profile.tables:
        for link in table.links:
            parent = profile.table(link.parent)
            if parent is not None:
                parents, children = _rows(items, parent), _rows(items, table)
                alone |= {(table.name, row) for row in _orphans(children, parents, link)}
                if link.is_total:
                    alone |= {(parent.name, row) for row in _childless(children, parents, link)}
        alone |= {(table.name, row) for row in _miscounted(profile, items, table)}
    return alone


def _orphans(children: Sequence[Stored], parents: Sequence[Stored], link: Link) -> list[Stored]:
    known = {_values(row, link.references) for row in parents}
    return [
        row
        for row in children
        if None not in (key := _values(row, link.columns)) and key not in known
    ]


def _childless(children: Sequence[Stored], parents: Sequence[Stored], link: Link) -> list[Stored]:
    known = {_values(row, link.columns) for row in children}
    return [row for row in parents if _values(row, link.references) not in known]


def _miscounted(profile: Profile, items: Sequence[Item], table: Table) -> list[Stored]:
    """The rows with numbers that should count rows elsewhere."""
    wrong = list[Stored]()
    for column, key, (child, place) in table.counters:
        other = profile.table(child)
        counts = Counter(row[place] for row in (_rows(items, other) if other else ()))
        wrong += [row for row in _rows(items, table) if row[column] != counts[row[key]]]
    return wrong


def _values(row: Stored, columns: Sequence[int]) -> Stored:
    return tuple(row[index] for index in columns)
