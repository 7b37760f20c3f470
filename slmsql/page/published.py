"""Numbers of others, shown beside ours and marked as theirs."""

from collections.abc import Sequence
from importlib.resources import files

import yaml

from slmsql.page.document import section
from slmsql.page.figures import Figure, bars
from slmsql.page.markup import Html, element, table, text

ABOUT = (
    "Grey ones are as published by their authors, not measured here. Scorer, release of the data "
    "and number of samples differ, so this is no ranking."
)


def read_published(benchmark: str) -> list[Figure]:
    """The published figures whose set begins with the benchmark's name."""
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


def published_section(wanted: str, ours: Sequence[Figure]) -> Html:
    """Ours and the published numbers for `wanted`, such as "spider dev"; nothing without any."""
    figures = read_published(wanted) if wanted else []
    if not figures:
        return Html("")
    title = element("summary", text("decoding, scorer and source of each"))
    rows = [
        [text(figure.name), text(f"{figure.value:.1f}"), text(figure.note)] for figure in figures
    ]
    sources = element("details", title, table(["", "EX", "as published"], rows, numeric=9))
    return section("Beside published numbers", bars([*ours, *figures]), sources, about=ABOUT)
