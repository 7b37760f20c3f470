"""Percentages with their intervals."""

from dataclasses import dataclass
from typing import Any

from slmsql.errors import InputError


@dataclass(frozen=True, slots=True)
class Figure:
    """A percentage, the number of questions it is of, and its 95 % interval."""

    name: str
    value: float
    n: int | None = None
    interval: tuple[float, float] | None = None
    over_databases: tuple[float, float] | None = None
    """The interval when databases are resampled instead of questions."""
    note: str = ""
    published: bool = False
    """Measured and published by somebody else."""


def read_figure(record: dict[str, Any], where: str, name: str = "") -> Figure:
    """A figure from `name, value, n, interval, note`, or from a report of `slmsql evaluate`.

    Args:
        record: what was read.
        where: file and position, for the error.
        name: stands if the record has no name.

    Raises:
        InputError: there is no name or no value in it.
    """
    value = record.get("value", record.get("execution_accuracy"))
    name = str(record.get("name", name))
    if not name or not isinstance(value, int | float):
        raise InputError(f"{where}: a figure needs 'name' and 'value', got {sorted(record)}")
    return Figure(
        name,
        float(value),
        record.get("n"),
        _interval(record.get("interval")),
        _interval(record.get("interval_over_databases")),
        str(record.get("note", "")),
        bool(record.get("published", False)),
    )


def _interval(ends: Any) -> tuple[float, float] | None:
    return (float(ends[0]), float(ends[1])) if ends else None
