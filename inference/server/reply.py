"""An answer as JSON for the server's clients, and as text for the terminal."""

import math
from collections.abc import Hashable, Sequence

from inference.server.service import Reply
from slmsql.consistency.candidates import Candidate
from slmsql.consistency.prediction import DecidedBy
from slmsql.execution import Execution, Row
from slmsql.files import Record

CELL = 1000  # characters of a value that are sent
EXACT = 2**53  # JavaScript's numbers are exact up to here
EXPLAINED = {
    DecidedBy.ONLY: "the only candidate",
    DecidedBy.UNANIMOUS: "every candidate that ran has this result",
    DecidedBy.MAJORITY: "most candidates have this result",
    DecidedBy.REVISED: "the candidates differ; a second look at the best drafts settled it",
    DecidedBy.FALLBACK: "the candidates differ, and no second look ran: the first vote stands",
    DecidedBy.NONE: "no candidate runs on this database",
}

Cell = str | int | float | None


def reply_record(reply: Reply) -> Record:
    """The answer with rows, groups and candidates."""
    prediction, execution = reply.prediction, reply.execution
    return {
        "sql": prediction.sql,
        "status": execution.status.value,
        "error": execution.error,
        "columns": list(execution.columns),
        "rows": [[cell(value) for value in row] for row in execution.rows],
        "row_count": execution.row_count,
        "decided_by": prediction.decided_by.value,
        "explanation": EXPLAINED[prediction.decided_by],
        "groups": [
            {"sql": group.sql, "votes": group.votes, "row_count": group.members[0].row_count}
            for group in reply.groups
        ],
        "candidates": _candidates(reply.candidates),
        "revisions": _candidates(reply.revisions),
        "tokens": reply.tokens,
        "seconds": round(reply.seconds, 3),
    }


def cell(value: Hashable) -> Cell:
    """A value that JSON and JavaScript can hold, readable where they cannot."""
    if isinstance(value, bytes):
        return f"blob of {len(value)} bytes"
    if isinstance(value, str):
        clean = value.encode("utf-8", "replace").decode()  # lone surrogates are no JSON
        return clean if len(clean) <= CELL else clean[:CELL] + "…"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) > EXACT:
        return str(value)
    return value if isinstance(value, int | float) else None


def table_text(execution: Execution, *, rows: int = 20, width: int = 40) -> str:
    """The result as a table for a terminal."""
    if not execution.ok:
        return f"{execution.status}: {execution.error}"
    shown = [list(execution.columns), *map(_texts, execution.rows[:rows])]
    cut = [
        [text if len(text) <= width else text[: width - 1] + "…" for text in row] for row in shown
    ]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    lines = [
        "  ".join(f"{text:<{size}}" for text, size in zip(row, widths, strict=True)).rstrip()
        for row in cut
    ]
    count = "1 row" if execution.row_count == 1 else f"{execution.row_count} rows"
    rest = f", the first {rows} shown" if execution.row_count > rows else ""
    return "\n".join([lines[0], "  ".join("-" * size for size in widths), *lines[1:], count + rest])


def _texts(row: Row) -> list[str]:
    values = ["" if value is None else str(cell(value)) for value in row]
    # A terminal obeys control characters, and these come from somebody's database.
    return ["".join(one if one.isprintable() else " " for one in text) for text in values]


def _candidates(candidates: Sequence[Candidate]) -> list[Record]:
    return [
        {
            "sql": one.sql,
            "status": None if one.status is None else one.status.value,
            "error": one.error,
            "row_count": one.row_count,
        }
        for one in candidates
    ]
