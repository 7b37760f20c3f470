"""Rows whose keys never repeat: a repeated key gets a new value, or its row is dropped."""

import random
from collections.abc import Iterable, Sequence

from slmsql.suites.neighbours.habits import Value
from slmsql.suites.neighbours.profile import Row, Table

ATTEMPTS = 20  # to find a new value of a key in the original
FRESH = 1000  # numbers to try behind a value that is taken


def with_distinct_keys(table: Table, rows: Iterable[list[Value]], rng: random.Random) -> list[Row]:
    """The rows whose keys do not repeat; a repeated key of one column gets a new value first."""
    seen: dict[tuple[int, ...], set[tuple[object, ...]]] = {key: set() for key in table.keys}
    linked, kept = table.linked | table.copied, []
    for row in rows:
        for key, values in seen.items():
            if len(key) == 1 and key[0] not in linked and _key(row, key) in values:
                row[key[0]] = _fresh(table, key[0], values, row[key[0]], rng)
        present = [_key(row, key) for key in seen]
        if not any(map(set.__contains__, seen.values(), present)):
            for values, value in zip(seen.values(), present, strict=True):
                values.add(value)
            kept.append(tuple(row))
    return kept


def _key(row: Sequence[Value], key: Sequence[int]) -> tuple[object, ...]:
    return tuple([_folded(row[index]) for index in key])


def _folded(value: Value) -> object:
    """What two equal values of a key have in common: text is equal in any case, NULL never is."""
    if value is None:
        return object()
    return value.lower() if isinstance(value, str) else value


def _fresh(
    table: Table, index: int, taken: set[tuple[object, ...]], value: Value, rng: random.Random
) -> Value:
    """A value of the column that no row has: one of the original, else a made-up one."""
    for row in rng.choices(table.rows, k=ATTEMPTS) if table.rows else ():
        if row[index] is not None and (_folded(row[index]),) not in taken:
            return row[index]
    for number in range(2, FRESH):
        if isinstance(value, int | float):
            made: Value = int(value) + number
        else:
            made = str(number) if str(value).isdigit() else f"{value!s} {number}"
        if (_folded(made),) not in taken:
            return made
    return value
