"""What a gold query looks at: its columns, the constants it compares them with, its joins.

`SELECT name FROM singer WHERE age > 30` looks at name and age, and compares age with 30; so a
neighbour for it has singers who are 29, 30 and 31.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from sqlglot import exp

from slmsql.sql.parsing import guarded, parsed
from slmsql.suites.neighbours.habits import Value
from slmsql.suites.neighbours.profile import Place, Profile, Table

DAY = re.compile(r"\d{4}-\d\d-\d\d")
ROW_NUMBER = re.compile(r"(?:\b|_)id\s*=\s*\d", re.IGNORECASE)
LARGEST_COUNT = 60  # rows in a group that neighbours are made large enough for
# Functions, such as strftime and julianday, whose values are not like those of their column.
FUNCTIONS = (exp.TimeToStr, exp.Date, exp.Substring, exp.Length, exp.Anonymous)
TESTS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.Between, exp.In, exp.Glob)


@dataclass(frozen=True, slots=True)
class Focus:
    """The parts of a database that a gold query looks at."""

    used: frozenset[Place] = frozenset()
    constants: Mapping[Place, tuple[Value, ...]] = field(default_factory=dict)
    patterns: frozenset[Value] = frozenset()
    """Those of the constants that are looked for inside of texts."""
    equal: tuple[tuple[Place, Place], ...] = ()
    """Columns of different tables that the query joins on."""
    numbered: bool = False
    """Whether query or evidence name a row by its number, as in `alignment_id = 3`, so that numbers
    must stay with their names."""
    count: int = 0
    """The largest number that the query compares with an aggregate or limits its rows to."""


def read_focus(gold: str, profile: Profile, evidence: str = "") -> Focus:
    """What the query looks at; nothing if it cannot be parsed."""
    tree = parsed(gold)
    focus = None if tree is None else guarded(gold, _focus, tree, profile)
    return replace(focus or Focus(), numbered=_is_numbered(focus, profile, evidence))


def _is_numbered(focus: Focus | None, profile: Profile, evidence: str) -> bool:
    if ROW_NUMBER.search(evidence):
        return True
    constants = focus.constants if focus else {}
    return any(
        isinstance(value, int) and profile.is_reference(place)
        for place, values in constants.items()
        for value in values
    )


def near_values(constant: Value) -> list[Value]:
    """Values just below and above a number or a date."""
    if isinstance(constant, int):
        return [constant - 1, constant + 1]
    if isinstance(constant, float):
        return [constant - 0.5, constant + 0.5, constant * 1.01]
    if not isinstance(constant, str) or not constant:
        return []
    if DAY.fullmatch(constant):
        return _near_days(constant)
    if constant.lstrip("-").isdigit():
        return [str(int(constant) - 1), str(int(constant) + 1)]
    return []


def containing(text: str) -> list[Value]:
    """Texts that contain a text, and one that it contains."""
    return [f"New {text}", f"{text} Park", text[: max(1, len(text) - 1)]]


def _near_days(text: str) -> list[Value]:
    try:
        day = date.fromisoformat(text)
        return [str(day - timedelta(days=1)), str(day + timedelta(days=1))]
    except (ValueError, OverflowError):
        return []


def _focus(tree: exp.Expr, profile: Profile) -> Focus:
    names = _Names(tree, profile)
    constants: dict[Place, list[Value]] = {}
    equal: list[tuple[Place, Place]] = []
    patterns: set[Value] = set()
    for test in tree.find_all(*TESTS):
        places = [place for column in _columns(test) for place in names.places(column)]
        if isinstance(test, exp.EQ) and len(places) == 2 and not _literals(test):
            equal.append((places[0], places[1]))
        if isinstance(test, exp.Like | exp.Glob):
            patterns.update(_literals(test))
        for place in (place for c in _columns(test) if _is_bare(c) for place in names.places(c)):
            constants.setdefault(place, []).extend(_literals(test))
    return Focus(
        frozenset(place for c in tree.find_all(exp.Column) for place in names.places(c)),
        {place: tuple(dict.fromkeys(values)) for place, values in constants.items() if values},
        frozenset(patterns),
        tuple(pair for pair in equal if pair[0][0] != pair[1][0]),
        count=min(LARGEST_COUNT, max(_counts(tree), default=0)),
    )


class _Names:
    """Which columns of the database the columns of a query may be."""

    def __init__(self, tree: exp.Expr, profile: Profile) -> None:
        self.tables: dict[str, Table] = {}
        for node in tree.find_all(exp.Table):
            table = profile.table(node.name)
            if table is not None:
                self.tables[node.name.lower()] = table
                self.tables[node.alias_or_name.lower()] = table

    def places(self, column: exp.Column) -> list[Place]:
        table = self.tables.get(column.table.lower())
        tables = [table] if table else list(dict.fromkeys(self.tables.values()))
        found = [(table.name, table.position(column.name)) for table in tables]
        return [(name, position) for name, position in found if position is not None]


def _columns(test: exp.Expr) -> Iterator[exp.Column]:
    """The columns of a comparison, without those of subqueries in it."""
    for column in test.find_all(exp.Column):
        if column.find_ancestor(exp.Select) is test.find_ancestor(exp.Select):
            yield column


def _is_bare(column: exp.Column) -> bool:
    """Whether a constant beside the column is one of its values, not one of a function of it.

    In `strftime('%Y', born) = '2006'` it is not.
    """
    return column.find_ancestor(*FUNCTIONS, exp.Select) is column.find_ancestor(exp.Select)


def _literals(test: exp.Expr) -> list[Value]:
    select = test.find_ancestor(exp.Select)
    is_pattern = isinstance(test, exp.Like | exp.Glob)
    return [
        _value(literal, is_pattern=is_pattern)
        for literal in test.find_all(exp.Literal)
        if literal.find_ancestor(exp.Select) is select
    ]


def _value(literal: exp.Expr, *, is_pattern: bool) -> Value:
    text = str(literal.this)
    if literal.is_string:
        return text.strip("%*").replace("%", " ").replace("_", "a") if is_pattern else text
    number = float(text)
    if isinstance(literal.parent, exp.Neg):
        number = -number
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _counts(tree: exp.Expr) -> Iterator[int]:
    """Numbers that say how many rows the query is about."""
    for limit in tree.find_all(exp.Limit, exp.Offset):
        if str(limit.expression).isdigit():
            yield int(str(limit.expression))
    for test in tree.find_all(*TESTS):
        if test.find(exp.Count):
            yield from (value for value in _literals(test) if isinstance(value, int))
