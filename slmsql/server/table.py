"""A result as a table of text that fits a line of the terminal."""

import unicodedata
from collections.abc import Iterable, Sequence

from slmsql.execution import Execution, Row
from slmsql.server.cells import cell

GAP = "  "
SHORTEST = 6  # characters to which a column may shrink before the last columns are left out


def table_text(execution: Execution, *, rows: int = 20, width: int = 0) -> str:
    """A result with its column names and the number of its rows; or why there is none.

    Args:
        execution: a statement that ran, with some of its rows.
        rows: number of rows to show.
        width: characters in a line, 0: any number. The widest columns are cut first; if all are
            short, the last ones are left out, and the last line says so.
    """
    if not execution.ok:
        return f"{execution.status}: {printable(str(execution.error))}"
    shown = [_texts(execution.columns), *map(_texts, execution.rows[:rows])]
    widest = [max(map(text_width, column)) for column in zip(*shown, strict=True)]
    widths = _fitted(widest, width) if width else widest
    head, *body = [_line(row, widths) for row in shown]
    rule = GAP.join("-" * size for size in widths)
    return "\n".join([head, rule, *body, _count(execution, rows, len(widths))])


def text_width(text: str) -> int:
    """The columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def printable(text: str) -> str:
    """A text of a model or a database without the characters that control a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fitted(widths: Sequence[int], width: int) -> list[int]:
    """Widths of as many columns as fit into a line; the widest give way first."""
    most = max(1, (width + len(GAP)) // (SHORTEST + len(GAP)))
    widths = widths[:most] if _total(min(w, SHORTEST) for w in widths) > width else widths
    limit = max(widths)
    while limit > 1 and _total(min(w, limit) for w in widths) > width:
        limit -= 1
    return [min(w, limit) for w in widths]


def _total(widths: Iterable[int]) -> int:
    sizes = list(widths)
    return sum(sizes) + len(GAP) * (len(sizes) - 1)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [_cut(text, size) for text, size in zip(row, widths, strict=False)]
    padded = [c + " " * (size - text_width(c)) for c, size in zip(cells, widths, strict=True)]
    return GAP.join(padded).rstrip()


def _cut(text: str, size: int) -> str:
    if text_width(text) <= size:
        return text
    while text_width(text) >= size and text:
        text = text[:-1]
    return text + "…"


def _count(execution: Execution, rows: int, columns: int) -> str:
    count = "1 row" if execution.row_count == 1 else f"{execution.row_count} rows"
    if execution.row_count > rows:
        count += f", the first {rows} shown"
    if columns < len(execution.columns):
        count += f", {columns} of {len(execution.columns)} columns shown"
    return count


def _texts(row: Row | Sequence[str]) -> list[str]:
    values = ["" if value is None else str(cell(value)) for value in row]
    return [printable(value).replace("\n", " ") for value in values]
