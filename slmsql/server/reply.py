"""An answer as JSON for the server's clients, and how it was decided in a line."""

from collections.abc import Sequence

from slmsql.consistency.candidates import Candidate
from slmsql.consistency.prediction import DecidedBy
from slmsql.files import Record
from slmsql.server.cells import cell
from slmsql.server.disagreement import agreement, difference
from slmsql.server.service import Reply

EXPLAINED = {
    DecidedBy.ONLY: "the only candidate",
    DecidedBy.UNANIMOUS: "every candidate that ran has this result",
    DecidedBy.MAJORITY: "the largest group of candidates has this result",
    DecidedBy.REVISED: "the candidates differ; a revision of the best drafts decided",
    DecidedBy.FALLBACK: "the candidates differ, and no revision runs: the first vote stands",
    DecidedBy.NONE: "no candidate runs on this database",
}


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
        "agreement": agreement(reply.groups, len(reply.candidates)),
        "groups": [
            {
                "sql": group.sql,
                "votes": group.votes,
                "row_count": group.members[0].row_count,
                "difference": difference(group, prediction.sql, execution.row_count),
            }
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
