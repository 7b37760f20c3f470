"""A question over a database: the type that every room passes on."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from slmsql.execution import database_fault
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
    """Split questions into those with a usable database and the others.

    A database is not usable if its file is missing or broken: see `database_faults`.
    """
    questions = list(questions)
    faults = database_faults(questions)
    present = [question for question in questions if question not in faults]
    missing = [question for question in questions if question in faults]
    return present, missing


def database_faults(questions: Iterable[Question]) -> dict[Question, str]:
    """The questions without a usable database, each with the reason."""
    faults: dict[Path, str | None] = {}
    reasons: dict[Question, str] = {}
    for question in questions:
        if question.database not in faults:
            faults[question.database] = database_fault(question.database)
        if (fault := faults[question.database]) is not None:
            reasons[question] = fault
    return reasons


def count_reasons(faults: Mapping[Question, str]) -> str:
    """How many questions have which fault, in one line: "62 no database"."""
    counts = Counter(faults.values())
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
