"""Figures that others have published, to show beside ours."""

from collections.abc import Sequence
from importlib.resources import files

import yaml
from markupsafe import Markup

from slmsql.page.figures import Figure
from slmsql.page.rendering import render


def read_published(benchmark: str) -> list[Figure]:
    """The figures of published.yaml whose `set` begins with this, such as "spider dev"."""
    content = files("slmsql.page").joinpath("published.yaml").read_text(encoding="utf-8")
    return [
        Figure(
            name=f"{entry['system']} {entry['size']}, {entry['set']}",
            value=float(entry["value"]),
            note=f"{entry['decoding']}; scorer: {entry['scorer']}; {entry['source']}",
            published=True,
        )
        for entry in yaml.safe_load(content)
        if str(entry["set"]).startswith(benchmark)
    ]


def published_sections(benchmark: str, ours: Sequence[Figure]) -> list[Markup]:
    """A section with our figures and the published ones; none if nothing was published."""
    published = read_published(benchmark) if benchmark else []
    if not published:
        return []
    return [render("published.html", ours=ours, published=published)]
