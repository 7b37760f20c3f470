"""Values of other engines as SQLite would hold them, so that results compare in one way.

| value | becomes |
|---|---|
| boolean | 0 or 1 |
| decimal | an integer if it is whole, else a float |
| NaN | the text 'NaN', which equals itself |
| date, time, timestamp | ISO text; with a zone in UTC: '2024-05-01 10:00:00+00' |
| interval | text: '3 days 01:00:00' |
| UUID, enum, network address | text |
| list, struct, map | JSON text |
| bytes | bytes |
"""

import json
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from slmsql.execution.result import Overflow
from slmsql.execution.types import Limits, Row


class PlainCursor:
    """A driver's cursor whose values are as SQLite would hold them, none over the limit."""

    def __init__(self, fetchmany: Callable[[int], list[Any]], limits: Limits) -> None:
        self._fetchmany = fetchmany
        self._longest = limits.cell_bytes

    def fetchmany(self, size: int) -> list[Row]:
        """The next rows.

        Raises:
            Overflow: a text or blob is too long.
        """
        rows = [plain_row(row) for row in self._fetchmany(size)]
        if any(_length(value) > self._longest for row in rows for value in row):
            raise Overflow("cell_bytes")
        return rows


def _length(value: Hashable) -> int:
    return len(value) if isinstance(value, str | bytes) else 0


def plain_row(row: Sequence[Any]) -> Row:
    """A row with values as SQLite would hold them."""
    return tuple(map(plain, row))


def plain(value: Any) -> Hashable:
    """One such value."""
    kind = type(value)
    if kind is int or kind is str or value is None or kind is bytes:
        return value  # type: ignore[no-any-return]
    convert = CONVERSIONS.get(kind, str)
    return convert(value)


def number(value: Decimal) -> Hashable:
    """A decimal as SQLite has it: whole numbers are integers, others floats."""
    if not value.is_finite():
        return "NaN" if value.is_nan() else float(value)
    return int(value) if value == value.to_integral_value() else float(value)


def _float(value: float) -> Hashable:
    return value if value == value else "NaN"


def _timestamp(value: datetime) -> str:
    if value.tzinfo is not None:
        return _without_zeros(value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")) + "+00"
    return _without_zeros(value.isoformat(" "))


def _time(value: time) -> str:
    return _without_zeros(value.isoformat())


def _interval(value: timedelta) -> str:
    rest = value - timedelta(days=value.days)
    days = {0: "", 1: "1 day "}.get(value.days, f"{value.days} days ")
    clock = _without_zeros((datetime.min + rest).time().isoformat())
    return days.strip() if days and not rest else days + clock


def _without_zeros(text: str) -> str:
    """`10:00:00.500000` as `10:00:00.5`."""
    return text.rstrip("0") if "." in text else text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda inner: plain(inner))


CONVERSIONS: dict[type, Callable[[Any], Hashable]] = {
    bool: int,
    float: _float,
    Decimal: number,
    date: date.isoformat,
    datetime: _timestamp,
    time: _time,
    timedelta: _interval,
    list: _json,
    tuple: _json,
    dict: _json,
    bytearray: bytes,
    memoryview: bytes,
}
