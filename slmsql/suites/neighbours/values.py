"""Values as a column of the original would hold them.

in_style([30], "29", table, index)                # ["30"]: the column stores numbers as text
as_spelt("italian", table, index)                 # "Italian"
"""

import random
from collections.abc import Iterable

from slmsql.suites.neighbours.focus import DAY
from slmsql.suites.neighbours.habits import Value, is_date
from slmsql.suites.neighbours.profile import Table

DAY_LENGTH = len("2006-12-31")
FEWEST_AT_BOUND = 3  # rows with the largest number, which show that it is the largest possible
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor")


def as_spelt(constant: Value, table: Table, index: int) -> Value:
    """The constant as the column spells it: `Italian` where the query has `italian`."""
    if not isinstance(constant, str) or index in table.cased:
        return constant
    texts = (row[index] for row in table.rows)
    same = (text for text in texts if isinstance(text, str) and text.lower() == constant.lower())
    return next(same, constant)


def in_style(values: Iterable[Value], present: Value, table: Table, index: int) -> list[Value]:
    """The values as this column would hold them: a number stored as text stays text.

    A day beside times gets the time of the present value.
    """
    sample = next((row[index] for row in table.rows if row[index] is not None), present)
    if isinstance(sample, str):
        moment = present if isinstance(present, str) else sample
        return [_at_time_of(moment, str(value)) for value in values]
    if isinstance(sample, int | float):
        numbers = [_number(value) for value in values]
        whole = all(_is_whole(row[index]) for row in table.rows)
        return [
            number
            for number in numbers
            if number is not None and (isinstance(number, int) or not whole)
        ]
    return list(values) if sample is None else []


def _at_time_of(moment: str, text: str) -> str:
    """A day with the time of a moment, if that has one; other texts stay."""
    is_timed = is_date(moment) and len(moment) > DAY_LENGTH
    return text + moment[DAY_LENGTH:] if is_timed and DAY.fullmatch(text) else text


def nested_with(text: str, table: Table, index: int) -> list[Value]:
    """Texts of the column that contain a text, or are part of it."""
    text = text.lower()
    values = {str(row[index]).lower(): row[index] for row in table.rows if row[index]}
    return [values[other] for other in values if other != text and (other in text or text in other)]


def expected(values: Iterable[Value], table: Table, index: int) -> list[Value]:
    """The values that the column could hold.

    A closed column holds no new ones; a column without numbers below zero gets none, and one
    without zero no zero. A largest number that repeats, as 100 of percentages, is not exceeded.
    """
    present = {row[index] for row in table.rows}
    numbers = [value for value in table.column(index) if isinstance(value, int | float)]
    lowest, highest = min(numbers, default=0), max(numbers, default=0)
    is_bounded = numbers.count(highest) >= FEWEST_AT_BOUND
    return [
        value
        for value in values
        if (index not in table.closed or value in present)
        and (not isinstance(value, int | float) or lowest < 0 or value > 0 or value == lowest)
        and not (is_bounded and isinstance(value, int | float) and value > highest)
    ]


def _is_whole(value: Value) -> bool:
    return (
        value is None or isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    )


def _number(value: Value) -> int | float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else number


def made_up(kind: str, rng: random.Random) -> Value:
    """A value for a table without rows, by the declared type of its column."""
    kind = kind.upper()
    if "INT" in kind or "BOOL" in kind:
        return rng.randint(1, 40)
    if "DATE" in kind or "TIME" in kind:
        return f"20{rng.randint(10, 24)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    if any(part in kind for part in ("CHAR", "TEXT", "CLOB")) or not kind:
        return f"{rng.choice(WORDS)} {rng.randint(1, 9)}"
    return None if "BLOB" in kind else round(rng.uniform(0, 100), 1)
