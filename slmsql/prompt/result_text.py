"""A query's result as text for a model or a person: bounded, and rows named as rows."""

from collections.abc import Hashable

from slmsql.execution import Execution, Row, Status
from slmsql.words import TOKEN_ESTIMATE, estimate_tokens

CELL = 80  # characters of a value that are shown


def result_text(execution: Execution, *, tokens: int) -> str:
    """The result in about `tokens` tokens at most: a line of counts and names, then rows.

    The rows shown are those that the execution brought along (`preview`); how many there are in
    all is always said. A statement that did not run gives its status and error.
    """
    if execution.status is not Status.OK:
        return _bounded(f"{execution.status}: {execution.error}", tokens)
    lines = _fitting([_row(row) for row in execution.rows], tokens)
    return "\n".join([_head(execution, len(lines), tokens), *lines])


def _head(execution: Execution, shown: int, tokens: int) -> str:
    count = execution.row_count
    rows = "1 row" if count == 1 else f"{count} rows"
    if shown < count:
        rows = f"first {shown} of {rows}" if shown else f"{rows}, too wide to show,"
    return _bounded(f"{rows} of {', '.join(execution.columns)}", max(tokens // 2, 20))


def _fitting(lines: list[str], tokens: int) -> list[str]:
    spent = 0
    for position, line in enumerate(lines):
        spent += estimate_tokens(line)
        if spent > tokens:
            return lines[:position] or [_bounded(lines[0], tokens)]
    return lines


def _row(row: Row) -> str:
    return f"({', '.join(map(_value, row))})"


def _value(value: Hashable) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"a blob of {len(value)} bytes"
    if not isinstance(value, str):
        return str(value)
    text = " ".join(value.split())
    text = text if len(text) <= CELL else text[:CELL] + "..."
    return "'" + text.replace("'", "''") + "'"


def _bounded(text: str, tokens: int) -> str:
    for count, piece in enumerate(TOKEN_ESTIMATE.finditer(text)):
        if count == tokens:
            return text[: piece.start()].rstrip() + "..."
    return text
