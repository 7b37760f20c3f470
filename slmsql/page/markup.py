"""HTML from Python: elements with their text escaped."""

import json
from html import escape
from typing import Any, NewType

Html = NewType("Html", str)
"""Markup that is safe to put into a page; everything else goes through `text`."""


def text(value: object) -> Html:
    """Any value as text."""
    return Html(escape(str(value)))


def element(name: str, *children: Html, **attributes: object) -> Html:
    """One element; `class_` is written `class`, attributes of None are left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{''.join(children)}</{name}>")


def joined(*parts: Html) -> Html:
    return Html("".join(parts))


def embedded(identity: str, value: Any) -> Html:
    """Data for the page's script. `<` is escaped, so that no text can end the element."""
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{escape(identity)}">{data}</script>')


def table(head: list[str], rows: list[list[Html]], *, numeric: int = 1) -> Html:
    """A table; columns from `numeric` on are aligned as numbers."""
    titles = [element("th", text(name), class_=_side(i, numeric)) for i, name in enumerate(head)]
    body = [
        element("tr", *(element("td", c, class_=_side(i, numeric)) for i, c in enumerate(row)))
        for row in rows
    ]
    inner = joined(element("thead", element("tr", *titles)), element("tbody", *body))
    return element("div", element("table", inner), class_="scroll")


def _side(column: int, numeric: int) -> str | None:
    return "number" if column >= numeric else None
