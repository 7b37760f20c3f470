"""Which values stand together in a row: no Honda is a Model S, an unread message has no time.

rules = read_rules(rows)
rules.allow(row)                # False for a Honda that is a Model S

These rules need little evidence: a row that breaks one is made again, so a rule by chance costs
little, while a row that could not occur refuses right answers.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from operator import itemgetter
from typing import Any, cast

from slmsql.suites.neighbours.habits import (
    FEWEST,
    LIKELY,
    Value,
    agreeing_repeats,
    is_date,
    would_differ,
)

FEWEST_REPEATS = 2
SHORTEST = 2  # letters of a text that is part of another
MOST_NUMBERS = 12  # columns among which products are looked for
ROUNDING = 1 / 64  # of reals in neighbours

Row = Sequence[Value]
Agreeing = tuple[int, int, Mapping[Value, Value]]  # two columns, and what goes with each value


@dataclass(frozen=True, slots=True, eq=False)  # told apart by identity: mappings have no hash
class Combinations:
    """Rules within a row. Columns are positions; those behind the last say whether one is empty."""

    sparse: tuple[int, ...] = ()
    """Columns that are empty in some rows: NULL, 0 or an empty text."""
    agreeing: tuple[Agreeing, ...] = ()
    """Columns, each with one that it determines, and the value that goes with each value."""
    rising: tuple["Rising", ...] = ()
    products: tuple[tuple[int, int, int], ...] = ()
    """Two columns, and the column that holds their product."""
    different: tuple[tuple[int, int], ...] = ()
    """Columns that never hold the same, as the two teams of a match."""
    contained: tuple[tuple[int, int], ...] = ()
    """Columns, each with one whose text contains it, as a year and a date."""

    def allow(self, row: Row) -> bool:
        """Whether a row breaks none of the rules."""
        return (
            self._agree(with_gaps(row, self.sparse))
            and all(rule.allows(row) for rule in self.rising)
            and all(_differ(row[first], row[second]) for first, second in self.different)
            and all(_is_product(row, *columns) for columns in self.products)
            and all(_is_contained(row[part], row[whole]) for part, whole in self.contained)
        )

    def without_targets(self, columns: Container[int]) -> "Combinations":
        """The rules without those that a value of these columns, which are references, must fit."""
        return replace(
            self,
            agreeing=tuple(rule for rule in self.agreeing if rule[1] not in columns),
            rising=tuple(
                rule
                for rule in self.rising
                if rule.first not in columns and rule.second not in columns
            ),
            products=tuple(
                rule for rule in self.products if not any(index in columns for index in rule)
            ),
        )

    def _agree(self, row: Row) -> bool:
        return all(
            row[there] == partners.get(row[here], row[there])
            for here, there, partners in self.agreeing
        )


NO_RULES = Combinations()


@dataclass(frozen=True, slots=True)
class Rising:
    """Two columns that rise or fall together, as the year of birth and the age."""

    first: int
    second: int
    lows: tuple[Any, ...]
    """The values of the first column, sorted."""
    highs: tuple[Any, ...]
    """The values of the second column beside them."""
    is_falling: bool

    def allows(self, row: Row) -> bool:
        """Whether the values of a row lie between those of the rows around it."""
        here, there = row[self.first], row[self.second]
        if here is None or there is None:
            return True
        if not _are_comparable([(here, there), (self.lows[0], self.highs[0])]):
            return False
        below = self.highs[: bisect_left(self.lows, here)][-1:]
        above = self.highs[bisect_right(self.lows, here) :][:1]
        return _in_order([*below, there, *above], self.is_falling)


def read_rules(rows: Sequence[Row]) -> Combinations:
    """The rules that all of these rows of one table keep."""
    columns = list(zip(*rows, strict=True))
    sparse = tuple(index for index, values in enumerate(columns) if any(map(_is_empty, values)))
    extended = list(zip(*(with_gaps(row, sparse) for row in rows), strict=True))
    return Combinations(
        sparse,
        tuple(_agreeing(extended)),
        tuple(_rising(columns)),
        tuple(_products(columns)),
        tuple(_different(columns)),
        tuple(_contained(columns)),
    )


def shared_rules(
    tables: Sequence[tuple[Sequence[str], Sequence[Row], Combinations]],
) -> list[Combinations]:
    """The rules of tables, with those that columns of the same names keep together.

    The cities of customers and of suppliers lie in the same countries.

    Args:
        tables: for each table the names of its columns, its rows and its own rules.
    """
    homes: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for number, (names, _, _) in enumerate(tables):
        for first, second in permutations(range(len(names)), 2):
            pair = names[first].lower(), names[second].lower()
            homes.setdefault(pair, []).append((number, first, second))
    shared: list[list[Agreeing]] = [[] for _ in tables]
    for places in homes.values():
        pairs = [(row[a], row[b]) for number, a, b in places for row in tables[number][1]]
        partners = _partners(*zip(*pairs, strict=True)) if len(places) > 1 and pairs else None
        for number, first, second in places if partners else ():
            shared[number].append((first, second, partners or {}))
    return [
        replace(rules, agreeing=(*rules.agreeing, *more))
        for (_, _, rules), more in zip(tables, shared, strict=True)
    ]


def with_gaps(row: Row, sparse: Sequence[int]) -> Row:
    """The row, and for each of these columns whether it is empty."""
    return (*row, *(_is_empty(row[index]) for index in sparse))


def _is_empty(value: Value) -> bool:
    return value is None or value in (0, "")


def _agreeing(columns: Sequence[Row]) -> Iterator[Agreeing]:
    for first, second in permutations(range(len(columns)), 2):
        if partners := _partners(columns[first], columns[second]):
            yield first, second, partners


def _partners(here: Row, there: Row) -> Mapping[Value, Value] | None:
    """What stands beside each value of a column, if it is always the same."""
    if agreeing_repeats(here, there, LIKELY) < FEWEST_REPEATS:
        return None
    pairs = zip(here, there, strict=True)
    return {value: other for value, other in pairs if value is not None}


def _rising(columns: Sequence[Row]) -> Iterator[Rising]:
    steady = [index for index, values in enumerate(columns) if _are_of_one_kind(values)]
    for first, second in combinations(steady, 2):
        both = zip(columns[first], columns[second], strict=True)
        pairs: list[tuple[Any, Any]] = [pair for pair in both if None not in pair]
        fewest = min((len(set(values)) for values in zip(*pairs, strict=True)), default=0)
        if fewest < FEWEST:
            continue
        is_falling = min(pairs)[1] > max(pairs)[1]
        pairs.sort(key=itemgetter(1), reverse=is_falling)
        pairs.sort(key=itemgetter(0))
        lows, highs = zip(*pairs, strict=True)
        if _in_order(highs, is_falling):
            yield Rising(first, second, lows, highs, is_falling)


def _in_order(values: Sequence[Any], is_falling: bool) -> bool:
    return list(values) == sorted(values, reverse=is_falling)


def _are_comparable(pairs: Sequence[tuple[Value, Value]]) -> bool:
    """Whether each of the two columns holds nothing but numbers, or nothing but dates."""
    return all(map(_are_of_one_kind, zip(*pairs, strict=True)))


def _are_of_one_kind(values: Sequence[Value]) -> bool:
    """Whether all are numbers, or all dates; NULL may stand among them."""
    present = [value for value in values if value is not None]
    return all(isinstance(value, int | float) for value in present) or all(map(is_date, present))


def _products(columns: Sequence[Row]) -> Iterator[tuple[int, int, int]]:
    numbers = [
        index
        for index, values in enumerate(columns)
        if len(set(values)) > 1 and all(isinstance(value, int | float) for value in values)
    ]
    rows = list(zip(*columns, strict=True))
    if len(rows) < FEWEST or len(numbers) > MOST_NUMBERS:
        return
    for first, second in combinations(numbers, 2):
        for whole in numbers:
            is_other = whole not in (first, second)
            if is_other and all(_is_product(row, first, second, whole) for row in rows):
                yield first, second, whole


def _is_product(row: Row, first: int, second: int, whole: int) -> bool:
    here, there, product = (row[index] for index in (first, second, whole))
    if None in (here, there, product):
        return True
    a, b, c = (cast(float, value) for value in (here, there, product))
    return abs(a * b - c) <= ROUNDING * (abs(a) + abs(b) + 1)


def _different(columns: Sequence[Row]) -> Iterator[tuple[int, int]]:
    for first, second in combinations(range(len(columns)), 2):
        here, there = columns[first], columns[second]
        if all(map(_differ, here, there)) and not would_differ(here, there, LIKELY):
            yield first, second


def _differ(here: Value, there: Value) -> bool:
    return here is None or here != there


def _contained(columns: Sequence[Row]) -> Iterator[tuple[int, int]]:
    for part, whole in permutations(range(len(columns)), 2):
        if not all(map(_is_contained, columns[part], columns[whole])):
            continue
        both = zip(columns[part], columns[whole], strict=True)
        parts = {str(here) for here, there in both if None not in (here, there)}
        if len(parts) >= FEWEST and all(len(text) >= SHORTEST for text in parts):
            yield part, whole


def _is_contained(part: Value, whole: Value) -> bool:
    """Whether a text contains a text or a whole number; NULL says nothing."""
    if part is None or whole is None:
        return True
    return isinstance(whole, str) and str(part).lower() in whole.lower()
