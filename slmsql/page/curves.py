"""Training curves from the log history that transformers' trainers save."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.files import read_json
from slmsql.page.markup import Html, element, joined, text

# What is drawn of a log, in this order, and how it is called on the page.
SHOWN = {
    "reward": "reward",
    "rewards/execution/mean": "execution reward",
    "rewards/execution_reward/mean": "execution reward",
    "rewards/format/mean": "format reward",
    "rewards/format_reward/mean": "format reward",
    "eval_reward": "reward, held-out",
    "loss": "loss",
    "eval_loss": "loss, held-out",
    "eval_execution_accuracy": "execution accuracy, held-out",
}
PARTS = 60  # more points than that are drawn faintly, with a running mean over them


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over steps (or anything else that grows)."""

    name: str
    points: tuple[tuple[float, float], ...]


def read_curves(file: Path) -> list[Curve]:
    """The curves of a `trainer_state.json`, or of a list of logged objects with a `step`.

    Raises:
        InputError: the file is neither, or has nothing that is drawn.
    """
    content = read_json(file)
    history = content.get("log_history") if isinstance(content, dict) else content
    if not isinstance(history, list):
        raise InputError(f"{file}: no 'log_history' in it; expected a trainer_state.json")
    curves = [curve for key, name in SHOWN.items() if (curve := _curve(history, key, name)).points]
    if not curves:
        raise InputError(f"{file}: none of {', '.join(SHOWN)} was logged")
    return curves


def line_chart(curve: Curve, x_name: str = "step") -> Html:
    """One curve in a frame; noisy ones with their running mean."""
    xs, ys = [x for x, _ in curve.points], [y for _, y in curve.points]
    low, high = _range(ys)
    frame = (min(xs), max(xs), low, high)
    smooth = _running_mean(ys) if len(ys) > PARTS // 2 else None
    lines = [_line(xs, ys, frame, "faint" if smooth else "line")]
    if smooth:
        lines.append(_line(xs, smooth, frame, "line"))
    if len(ys) <= 12:
        lines += [_dot(x, y, frame) for x, y in curve.points]
    drawing = element("svg", *lines, viewBox="0 0 100 100", preserveAspectRatio="none")
    limits = element("div", *(element("span", text(_short(v))) for v in (high, low)), class_="y")
    ends = element(
        "div",
        element("span", text(f"{x_name} {_short(frame[0])}")),
        element("span", text(_short(frame[1]))),
        class_="x",
    )
    title = element("figcaption", text(curve.name))
    plot = element("div", limits, drawing, class_="plot")
    return element("figure", title, plot, ends, class_="chart")


def line_charts(curves: Iterable[Curve], x_name: str = "step") -> Html:
    return element("div", joined(*(line_chart(c, x_name) for c in curves)), class_="charts")


def _curve(history: Sequence[Any], key: str, name: str) -> Curve:
    points = [
        (float(entry["step"]), float(entry[key]))
        for entry in history
        if isinstance(entry, dict) and "step" in entry and isinstance(entry.get(key), int | float)
    ]
    return Curve(name, tuple(points))


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        return low - 0.5, high + 0.5
    return low, high


def _running_mean(values: Sequence[float]) -> list[float]:
    width = max(2, len(values) // 20)
    return [
        sum(part) / len(part)
        for i in range(len(values))
        if (part := values[max(0, i - width) : i + width + 1])
    ]


def _place(x: float, y: float, frame: tuple[float, float, float, float]) -> tuple[float, float]:
    left, right, low, high = frame
    across = 50.0 if right == left else 100 * (x - left) / (right - left)
    return across, 98 - 96 * (y - low) / (high - low)


def _line(
    xs: Sequence[float], ys: Sequence[float], frame: tuple[float, float, float, float], kind: str
) -> Html:
    places = (_place(x, y, frame) for x, y in zip(xs, ys, strict=True))
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in places)
    return element("polyline", points=points, class_=kind)


def _dot(x: float, y: float, frame: tuple[float, float, float, float]) -> Html:
    across, down = _place(x, y, frame)
    points = f"{across:.2f},{down:.2f} {across:.2f},{down:.2f}"
    return element("polyline", points=points, class_="dot")


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
