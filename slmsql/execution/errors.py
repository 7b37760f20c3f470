"""SQLite's error messages in classes: "no such column: x" is of the class "no such column"."""

import re

from slmsql.execution.types import Status

KINDS: tuple[tuple[str, str], ...] = (
    ("no such table", "no such table"),
    ("no such column", "no such column"),
    ("no such function", "function"),
    ("wrong number of arguments to function", "function"),
    ("may not be used as a window function", "function"),
    ("ambiguous column name", "ambiguous"),
    ("circular reference", "ambiguous"),
    ("misuse of", "aggregate"),
    ("aggregate functions are not allowed", "aggregate"),
    ("a GROUP BY clause is required|on a non-aggregate query", "aggregate"),
    ("syntax error", "syntax"),
    ("unrecognized token", "syntax"),
    ("incomplete input", "syntax"),
    ("JOIN clause is required before", "syntax"),
    ("should come after", "syntax"),
    ("unknown or unsupported join type", "syntax"),
    ("datatype mismatch", "type"),
    ("malformed JSON", "type"),
    ("JSON", "type"),
    ("integer overflow", "overflow"),
    ("do not have the same number of result columns", "columns"),
    (r"sub-select returns \d+ columns", "columns"),
    (r"has \d+ values for \d+ columns", "columns"),
    ("row value misused", "columns"),
    ("must match column names|does not match any column|term out of range", "columns"),
    ("no tables specified", "columns"),
    ("all VALUES must have the same number of terms", "columns"),
    ("cannot join using column", "no such column"),
    ("parser stack overflow", "limit"),
    ("[Tt]oo many|too large|too complex|at most", "limit"),
    ("bindings supplied|binding", "parameters"),
    # From the start of the message: later parts may quote the statement.
    ("^database disk image is malformed|^malformed database schema", "database"),
    ("^file is not a database|^disk I/O error", "database"),
)
PATTERNS = tuple((re.compile(pattern), kind) for pattern, kind in KINDS)


def classify(message: str) -> tuple[Status, str]:
    """Status and class of an error message of SQLite or of Python's `sqlite3`."""
    if message == "interrupted":
        return Status.TIMEOUT, "steps"
    if "string or blob too big" in message:
        return Status.TOO_LARGE, "cell_bytes"
    if "query string is too large" in message:
        return Status.REFUSED, "sql_bytes"
    if "one statement at a time" in message:
        return Status.REFUSED, "several statements"
    if "not authorized" in message or "is prohibited" in message:
        return Status.REFUSED, "forbidden"
    for pattern, kind in PATTERNS:
        if pattern.search(message):
            return Status.ERROR, kind
    return Status.ERROR, "other"
