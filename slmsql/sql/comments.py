"""Reads column descriptions from the comments in a CREATE TABLE statement, which SQLite keeps."""

from slmsql.sql.tokens import tokens


def column_comments(statement: str) -> dict[str, str]:
    """Comments by column name in lower case.

    A comment belongs to the column whose definition it stands in. After the comma but on the same
    line, it still belongs to that column:

        id INTEGER, -- a comment on id
        name TEXT   -- a comment on name
    """
    if "--" not in statement and "/*" not in statement:
        return {}
    comments: dict[str, list[str]] = {}
    depth = 0
    column = previous = ""  # the column being defined, and the one before the comma on this line
    for kind, text in tokens(statement):
        if kind == "space":
            if not text.startswith(("--", "/*")):
                previous = "" if "\n" in text else previous
            elif depth and (column or previous):
                comments.setdefault(column or previous, []).append(_comment(text))
        elif text == "," and depth == 1:
            column, previous = "", column
        elif text in ("(", ")"):
            depth += 1 if text == "(" else -1
        elif kind in ("name", "word") and depth == 1 and not column:
            column, previous = _name(text), ""
    return {name: " ".join(filter(None, parts)) for name, parts in comments.items()}


def _comment(text: str) -> str:
    content = text[2:] if text.startswith("--") else text[2:].removesuffix("*/")
    return " ".join(content.split())


def _name(text: str) -> str:
    """A name without its quotes, in lower case."""
    if text[0] in '"`':
        text = text[1:-1].replace(text[0] * 2, text[0])
    return text.strip("[]").lower()
