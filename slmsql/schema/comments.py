"""Descriptions of columns, from the comments in the CREATE TABLE statement that SQLite keeps."""

import re

TOKEN = re.compile(
    r"--(?P<line>[^\n]*)|/\*(?P<block>.*?)\*/|(?P<break>\n)"
    r"|(?P<name>\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]|[^\s(),'\"`\[]+)"
    r"|'(?:[^']|'')*'|(?P<sign>[(),])",
    re.DOTALL,
)


def column_comments(statement: str) -> dict[str, str]:
    """Comment by lower-case column name.

    A comment belongs to the column in whose definition it stands; after the comma, on the same
    line, still to the one before it.
    """
    if "--" not in statement and "/*" not in statement:
        return {}
    found: dict[str, list[str]] = {}
    depth = 0
    column = before = ""
    for token in TOKEN.finditer(statement):
        sign, name = token["sign"], token["name"]
        comment = token["line"] if token["line"] is not None else token["block"]
        if comment is not None and depth:
            if column or before:
                found.setdefault(column or before, []).append(" ".join(comment.split()))
        elif sign == "," and depth == 1:
            column, before = "", column
        elif sign in ("(", ")"):
            depth += 1 if sign == "(" else -1
        elif token["break"]:
            before = ""
        elif name and depth == 1 and not column:
            column, before = _bare(name), ""
    return {name: " ".join(filter(None, parts)) for name, parts in found.items()}


def _bare(name: str) -> str:
    if name[0] in '"`' and len(name) > 1:
        name = name[1:-1].replace(name[0] * 2, name[0])
    return name.strip("[]").lower()
