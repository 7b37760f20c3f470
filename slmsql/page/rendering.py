"""Fills the templates. Values are escaped unless they are `Markup`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent / "templates"
STYLESHEET = FOLDER / "page.css"
"""The one stylesheet; the server's page has it too."""


def page(title: str, sections: Iterable[Markup], about: str = "") -> str:
    """The whole document.

    Args:
        title: heading of the page.
        sections: from `render`, in the order of the page.
        about: text below the heading; each of its lines is a paragraph.
    """
    return render(
        "page.html",
        title=title,
        lead=[line for line in about.splitlines() if line.strip()],
        sections=sections,
        style=_source(STYLESHEET),
        script=_source(FOLDER / "page.js"),
    )


def render(template: str, **data: Any) -> Markup:
    """Fill a file of `templates/`.

    Raises:
        jinja2.UndefinedError: the template uses a name that `data` lacks.
    """
    return Markup(_ENVIRONMENT.get_template(template).render(data))


def _source(file: Path) -> Markup:
    return Markup(file.read_text(encoding="utf-8"))


def _percent(value: float) -> float:
    """The value, limited to the scale from 0 to 100."""
    return min(100.0, max(0.0, value))


def _short(value: float) -> str:
    """Three significant digits, or the whole number from 1000 on."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("slmsql.page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(percent=_percent, short=_short)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return environment


_ENVIRONMENT = _environment()
