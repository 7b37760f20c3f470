"""Figures with their intervals: a table, and bars on a scale from 0 to 100."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slmsql.errors import InputError
from slmsql.page.markup import Html, element, joined, table, text


@dataclass(frozen=True, slots=True)
class Figure:
    """A share in percent with its number of questions and its 95 % interval."""

    name: str
    value: float
    n: int | None = None
    interval: tuple[float, float] | None = None
    note: str = ""
    published: bool = False
    """Somebody else's number, measured elsewhere."""


def read_figure(record: dict[str, Any], where: str, name: str = "") -> Figure:
    """A figure from `name, value, n, interval, note`, or from a report of evaluate.py.

    Raises:
        InputError: there is no name or no value in it.
    """
    value = record.get("value", record.get("execution_accuracy"))
    name = str(record.get("name", name))
    if not name or not isinstance(value, int | float):
        raise InputError(f"{where}: a figure needs 'name' and 'value', got {sorted(record)}")
    interval = record.get("interval")
    return Figure(
        name,
        float(value),
        record.get("n"),
        (float(interval[0]), float(interval[1])) if interval else None,
        str(record.get("note", "")),
        bool(record.get("published", False)),
    )


def figure_table(figures: Sequence[Figure], unit: str = "EX") -> Html:
    """One row a figure; a note stands below its name."""
    rows = [
        [_name(figure), text(f"{figure.value:.1f}"), text(_interval(figure)), text(figure.n or "")]
        for figure in figures
    ]
    return table(["", unit, "95 % interval", "n"], rows)


def bars(figures: Sequence[Figure]) -> Html:
    """A bar for each figure; the thin line is the interval."""
    return element("div", *map(_bar, figures), _scale(), class_="bars")


def _name(figure: Figure) -> Html:
    note = element("small", text(figure.note)) if figure.note else Html("")
    kind = element("span", text("published"), class_="theirs") if figure.published else Html("")
    return joined(text(figure.name), Html(" "), kind, note)


def _interval(figure: Figure) -> str:
    if figure.interval is None:
        return ""
    return f"{figure.interval[0]:.1f} – {figure.interval[1]:.1f}"


def _bar(figure: Figure) -> Html:
    fill = element("div", class_="fill", style=f"width:{_clip(figure.value):.2f}%")
    whisker = Html("")
    if figure.interval is not None:
        low, high = map(_clip, figure.interval)
        whisker = element("div", class_="whisker", style=f"left:{low:.2f}%;width:{high - low:.2f}%")
    number = f"{figure.value:.1f}" + (f"  (n = {figure.n})" if figure.n else "")
    label = element(
        "div",
        element("span", text(figure.name)),
        element("span", text(number), class_="value"),
        class_="label",
    )
    track = element("div", fill, whisker, class_="track")
    return element("div", label, track, class_="bar published" if figure.published else "bar")


def _scale() -> Html:
    return element("div", *(element("span", text(f"{mark}")) for mark in (0, 25, 50, 75, 100)),
                   class_="scale")  # fmt: skip


def _clip(value: float) -> float:
    return min(100.0, max(0.0, value))
