"""An answer as JSON for the server's clients, and as text for the terminal."""

import math
from collections.abc import Hashable, Sequence

from slmsql.consistency.candidates import Candidate
from slmsql.consistency.prediction import DecidedBy
from slmsql.execution import Execution, Row
from slmsql.files import Record
from slmsql.server.service import Reply

CELL = 1000  # longest text of a value that is sent, in characters
EXACT = 2**53  # larger integers are not exact in JavaScript
EXPLAINED = {
    DecidedBy.ONLY: "the only candidate",
    DecidedBy.UNANIMOUS: "every candidate that ran has this result",
    DecidedBy.MAJORITY: "most candidates have this result",
    DecidedBy.REVISED: "the candidates differ; a revision of the best drafts decided",
    DecidedBy.FALLBACK: "the candidates differ, and no revision runs: the first vote stands",
    DecidedBy.NONE: "no candidate runs on this database",
}

Cell = str | int | float | None


def reply_record(reply: Reply) -> Record:
    """The answer with its rows, groups and candidates, for JSON."""
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


def decision_text(reply: Reply) -> str:
    """How the answer was decided, in a line."""
    votes = f"{reply.groups[0].votes} of {len(reply.candidates)}" if reply.groups else "none"
    explanation = EXPLAINED[reply.prediction.decided_by]
    return f"{explanation} ({votes} agree, {reply.seconds:.1f} s)"


def cell(value: Hashable) -> Cell:
    """A value as JSON and JavaScript can hold it; as readable text if they cannot."""
    if isinstance(value, bytes):
        return f"blob of {len(value)} bytes"
    if isinstance(value, str):
        clean = value.encode("utf-8", "replace").decode()  # lone surrogates are not valid in JSON
        return clean if len(clean) <= CELL else clean[:CELL] + "…"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) > EXACT:
        return str(value)
    return value if isinstance(value, int | float) else None


def table_text(execution: Execution, *, rows: int = 20, width: int = 40) -> str:
    """The result as a table for the terminal."""
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
    more = f", the first {rows} shown" if execution.row_count > rows else ""
    return "\n".join([lines[0], "  ".join("-" * size for size in widths), *lines[1:], count + more])


def _texts(row: Row) -> list[str]:
    values = ["" if value is None else str(cell(value)) for value in row]
    # Control characters in the database must not reach the terminal.
    return ["".join(c if c.isprintable() else " " for c in text) for text in values]


def _candidates(candidates: Sequence[Candidate]) -> list[Record]:
    return [
        {
            "sql": candidate.sql,
            "status": None if candidate.status is None else candidate.status.value,
            "error": candidate.error,
            "row_count": candidate.row_count,
        }
        for candidate in candidates
    ]
