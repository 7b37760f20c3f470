"""A query's result as text of limited length, for a model or a person."""

from collections.abc import Hashable

from slmsql.execution import Execution, Row, Status
from slmsql.questions.words import TOKEN_ESTIMATE, estimate_tokens

MOST_CHARS = 80  # characters shown of a value


def result_text(execution: Execution, *, tokens: int) -> str:
    """The result in about `tokens` tokens at most: a line of counts and names, then rows.

        first 2 of 3 rows of id, name
        (1, 'Ann')
        (2, 'Bob')

    Args:
        execution: the execution; the rows in its preview are shown. If the statement did not run,
            the text is its status and error.
        tokens: the budget, in tokens of `estimate_tokens`.
    """
    if execution.status is not Status.OK:
        return _cut(f"{execution.status}: {execution.error}", tokens)
    lines = _first_lines([_row_text(row) for row in execution.rows], tokens)
    return "\n".join([_heading(execution, len(lines), tokens), *lines])


def _heading(execution: Execution, shown: int, tokens: int) -> str:
    count = execution.row_count
    rows = "1 row" if count == 1 else f"{count} rows"
    if shown < count:
        rows = f"first {shown} of {rows}" if shown else f"{rows}, too wide to show,"
    return _cut(f"{rows} of {', '.join(execution.columns)}", max(tokens // 2, 20))


def _first_lines(lines: list[str], tokens: int) -> list[str]:
    """As many lines as the budget allows, but at least the beginning of the first."""
    spent = 0
    for position, line in enumerate(lines):
        spent += estimate_tokens(line)
        if spent > tokens:
            return lines[:position] or [_cut(lines[0], tokens)]
    return lines


def _row_text(row: Row) -> str:
    return f"({', '.join(map(_value_text, row))})"


def _value_text(value: Hashable) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"a blob of {len(value)} bytes"
    if not isinstance(value, str):
        return str(value)
    text = " ".join(value.split())
    text = text if len(text) <= MOST_CHARS else text[:MOST_CHARS] + "..."
    return "'" + text.replace("'", "''") + "'"


def _cut(text: str, tokens: int) -> str:
    for count, piece in enumerate(TOKEN_ESTIMATE.finditer(text)):
        if count == tokens:
            return text[: piece.start()].rstrip() + "..."
    return text
