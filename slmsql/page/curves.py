"""Training curves from the log history that the trainers of transformers and TRL save."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.files import read_json

# What is drawn of a log, in this order: key in the log, name on the page.
CURVES = {
    "reward": "reward",
    "rewards/execution/mean": "execution reward",
    "rewards/execution_reward/mean": "execution reward",
    "rewards/format/mean": "format reward",
    "rewards/format_reward/mean": "format reward",
    "eval_reward": "reward, held-out",
    "loss": "loss",
    "eval_loss": "loss, held-out",
    "eval_ex_greedy": "execution accuracy, held-out",
}
SMOOTHED_ABOVE = 30  # a curve of more points is drawn faintly, with its running mean over it
DOTTED_UP_TO = 12  # a curve of at most as many points has a dot at each


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over training steps, or over anything else that grows."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """An SVG polyline in a square of 100 by 100, whose y grows downwards."""

    style: str
    """Its class in page.css: line, faint or dot."""
    points: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A curve as it is drawn."""

    title: str
    x_name: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    lines: tuple[Line, ...]


def read_curves(file: Path) -> list[Curve]:
    """The curves of a `trainer_state.json`, or of a list of logged objects with a `step`.

    Raises:
        InputError: the file is neither, or logs none of `CURVES`.
    """
    content = read_json(file)
    history = content.get("log_history") if isinstance(content, dict) else content
    if not isinstance(history, list):
        raise InputError(f"{file}: no 'log_history' in it; expected a trainer_state.json")
    curves = [Curve(name, _points(history, key)) for key, name in CURVES.items()]
    curves = [curve for curve in curves if curve.points]
    if not curves:
        raise InputError(f"{file}: none of {', '.join(CURVES)} was logged")
    return curves


def line_chart(curve: Curve, x_name: str = "step") -> Chart:
    """Scale a curve to its frame. A long one is drawn faintly, under its running mean."""
    xs, ys = [x for x, _ in curve.points], [y for _, y in curve.points]
    x_range, y_range = (min(xs), max(xs)), (min(ys), max(ys))
    if y_range[0] == y_range[1]:
        y_range = (y_range[0] - 0.5, y_range[1] + 0.5)
    across = [_scaled(x, x_range, 0, 100) for x in xs]

    def line(style: str, values: Sequence[float]) -> Line:
        down = [_scaled(y, y_range, 98, 2) for y in values]  # the line's width needs a margin
        return Line(style, " ".join(f"{x:.2f},{y:.2f}" for x, y in zip(across, down, strict=True)))

    if len(ys) > SMOOTHED_ABOVE:
        lines = [line("faint", ys), line("line", _running_mean(ys))]
    else:
        lines = [line("line", ys)]
    if len(ys) <= DOTTED_UP_TO:  # SVG draws a line from a point to itself as a dot
        lines += [Line("dot", f"{point} {point}") for point in lines[0].points.split()]
    return Chart(curve.name, x_name, x_range, y_range, tuple(lines))


def _points(history: Sequence[Any], key: str) -> tuple[tuple[float, float], ...]:
    return tuple(
        (float(entry["step"]), float(entry[key]))
        for entry in history
        if isinstance(entry, dict) and "step" in entry and isinstance(entry.get(key), int | float)
    )


def _running_mean(values: Sequence[float]) -> list[float]:
    width = max(2, len(values) // 20)
    windows = [values[max(0, i - width) : i + width + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def _scaled(value: float, limits: tuple[float, float], start: float, end: float) -> float:
    low, high = limits
    position = 0.5 if low == high else (value - low) / (high - low)
    return start + (end - start) * position
