"""Hashes of the data behind a figure, to tell releases apart."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from slmsql.evaluation.outcome import Evaluation
from slmsql.execution import fingerprint
from slmsql.files import Record, file_hash
from slmsql.questions.question import Question


def data_record(evaluation: Evaluation, predictions: Path) -> Record:
    """Hashes of the questions, their gold queries, databases and predictions."""
    questions = [outcome.question for outcome in evaluation.outcomes]
    return {
        "data": questions_hash([*questions, *evaluation.missing]),
        "databases": databases_hash(questions),
        "predictions": file_hash(predictions),
        "questions": len(questions) + len(evaluation.missing),
    }


def questions_hash(questions: Sequence[Question]) -> str:
    """A hash of ids, texts, evidence and gold. The order and layout of the file do not matter."""
    state = hashlib.sha256()
    for question in sorted(questions, key=lambda question: question.id):
        parts = (question.id, question.db_id, question.text, question.evidence, question.gold_sql)
        state.update("\0".join(part or "" for part in parts).encode() + b"\n")
    return state.hexdigest()[:16]


def databases_hash(questions: Sequence[Question]) -> str:
    """A hash of the content of all databases of the questions."""
    state = hashlib.sha256()
    for database in sorted({question.database for question in questions}):
        state.update(f"{database.name}\0{fingerprint(database)}\n".encode())
    return state.hexdigest()[:16]
