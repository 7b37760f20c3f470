"""A witness: the few rows on which a lucky prediction and the gold query part.

CREATE TABLE singer (name TEXT, age INTEGER);
INSERT INTO singer VALUES ('Ann', 30);
-- predicted: SELECT name FROM singer WHERE age >= 30   [('Ann',)]
-- gold:      SELECT name FROM singer WHERE age > 30    []
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slmsql.execution import Executor, Filling, Pair, Row, Statement, create_filled
from slmsql.match import Match
from slmsql.sql.quoting import quote_identifier, quote_value
from slmsql.suites.neighbours.building import usable
from slmsql.suites.neighbours.judging import says_nothing
from slmsql.suites.neighbours.profile import Profile, Table, read_profile
from slmsql.suites.neighbours.profile import Row as Stored

PREVIEW = 20  # rows of each result

Item = tuple[str, Stored]  # table and row


@dataclass(frozen=True, slots=True)
class Witness:
    """A small database on which two queries have different results."""

    neighbour: Path
    """The database from which rows were taken away, as long as the results differed."""
    script: str
    """SQL that creates it."""
    predicted: tuple[Row, ...]
    gold: tuple[Row, ...]


def find_witness(
    neighbour: Path, predicted: str, gold: str, match: Match, executor: Executor
) -> Witness:
    """The fewest rows of a neighbour on which the results still differ, by delta debugging.

    No row loses the row that it refers to, and the gold result stays one that does not depend on
    the order of stored rows.
    """
    profile = read_profile(neighbour)
    items = [(t.name, row) for t in reversed(profile.tables) for row in t.rows]  # children first
    with tempfile.TemporaryDirectory() as folder:
        pair, alone = Pair(neighbour, predicted, gold), _without_partner(profile, items)
        trials = _Trials(profile, pair, match, executor, Path(folder), alone)
        items = fewest(items, trials.differ)
        path = trials.write(items)
        results = executor.run([Statement(path, sql) for sql in (predicted, gold)], preview=PREVIEW)
    return Witness(neighbour, script(profile, items), results[0].rows, results[1].rows)


def fewest(items: list[Item], holds: Callable[[list[Item]], bool]) -> list[Item]:
    """The items without those that are not needed: halves first, then ever smaller parts."""
    size = max(1, len(items) // 2)
    while size:
        start = 0
        while start < len(items):
            fewer = items[:start] + items[start + size :]
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

    def differ(self, items: list[Item]) -> bool:
        if not _without_partner(self.profile, items) <= self.alone:
            return False
        path = self.write(items)
        pair = Pair(path, self.pair.predicted, self.pair.gold)
        (verdict,) = self.executor.judge([pair], match=self.match)
        gold = self.pair.gold or ""
        if verdict.correct is not False or says_nothing(verdict):
            return False
        return path in usable(gold, [path], self.executor)

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
    """The rows that refer to rows which are not there."""
    alone: set[Item] = set()
    for table in profile.tables:
        for link in table.links:
            parent = profile.table(link.parent)
            known = _rows(items, parent) if parent is not None else []
            keys = {tuple(row[i] for i in link.references) for row in known}
            for row in _rows(items, table):
                key = tuple(row[index] for index in link.columns)
                if None not in key and key not in keys:
                    alone.add((table.name, row))
    return alone
