"""The page around the sections: title, style, script."""

from importlib.resources import files

from slmsql.page.markup import Html, element, joined, text


def section(title: str, *content: Html, about: str = "") -> Html:
    """A part of the page with its heading and a sentence that says what is shown."""
    lead = [element("p", text(about), class_="about")] if about else []
    return element("section", element("h2", text(title)), *lead, *content)


def page(title: str, *sections: Html, about: str = "", footer: str = "") -> str:
    """The whole document."""
    lead = [element("p", text(part), class_="lead") for part in about.split("\n") if part.strip()]
    head = joined(
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", text(title)),
        element("style", Html(_resource("page.css"))),
    )
    body = joined(
        element("main", element("h1", text(title)), *lead, *sections),
        element("footer", text(footer)) if footer else Html(""),
        element("script", Html(_resource("page.js"))),
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _resource(name: str) -> str:
    return files("slmsql.page").joinpath(name).read_text(encoding="utf-8")
