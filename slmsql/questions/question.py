"""A question over a database: the type that every room passes on."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from slmsql.files import Record


@dataclass(frozen=True, slots=True)
class Question:
    """A question over one database; `gold_sql` is None if the right query is not known."""

    id: str
    text: str
    db_id: str
    database: Path
    evidence: str = ""
    gold_sql: str | None = None
    difficulty: str = ""
    source: str = ""

    @property
    def text_with_evidence(self) -> str:
        """Evidence and text: the evidence often spells values as the database does."""
        return f"{self.evidence}\n{self.text}"

    def as_record(self) -> Record:
        """The question as a JSON object that `read_questions` reads back."""
        return {**asdict(self), "database": str(self.database)}


def with_databases(questions: Iterable[Question]) -> tuple[list[Question], list[Question]]:
    """Split questions into those whose database file exists and those whose file does not."""
    exists: dict[Path, bool] = {}
    present: list[Question] = []
    missing: list[Question] = []
    for question in questions:
        if question.database not in exists:
            exists[question.database] = question.database.is_file()
        (present if exists[question.database] else missing).append(question)
    return present, missing
