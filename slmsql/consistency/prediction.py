"""Predictions: one SQL per question, in our JSON Lines or in the benchmarks' own formats."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.files import Record, read_json, read_jsonl
from slmsql.questions.question import Question

SEPARATORS = ("\t----- bird -----\t", "\t----- SQL-EVAL -----\t")


class DecidedBy(StrEnum):
    """How a prediction was chosen."""

    ONLY = "only"  # there was one candidate
    UNANIMOUS = "unanimous"  # every candidate that ran has the same result
    MAJORITY = "majority"  # the largest group won the vote
    REVISED = "revised"  # the merge model's answer won the second vote
    FALLBACK = "fallback"  # no revision ran; the first vote stands
    NONE = "none"  # no candidate ran; the first one is returned


@dataclass(frozen=True, slots=True)
class Prediction:
    """The SQL chosen for a question; `votes` is the number of candidates in its group."""

    id: str
    sql: str
    votes: int = 0
    candidates: int = 0
    decided_by: DecidedBy = DecidedBy.ONLY

    def as_record(self) -> Record:
        return asdict(self)


def decisions(predictions: Sequence[Prediction]) -> str:
    """How many questions were decided in which way, in one line."""
    counts = Counter(prediction.decided_by for prediction in predictions)
    shown = ", ".join(f"{counts[way]} {way}" for way in DecidedBy if counts[way])
    return f"{len(predictions)} questions decided: {shown}"


def read_predictions(file: Path, questions: Sequence[Question]) -> dict[str, str]:
    """Read SQL by question id.

    Three forms are read: JSON Lines of `id, sql`; BIRD's
    `{"0": "SQL\\t----- bird -----\\tdb_id"}`, keyed by question id or position; and Spider's text
    file, one SQL per line in the order of the questions, each with or without a tab and its db_id.

    Raises:
        InputError: a record is malformed, an id occurs twice, or the number of lines differs from
            the number of questions.
    """
    if file.suffix == ".jsonl":
        return _from_jsonl(file)
    if file.suffix == ".json":
        return _from_bird(file, questions)
    return _from_lines(file, questions)


def match_ids(predictions: dict[str, str], questions: Sequence[Question], file: Path) -> None:
    """Raise if a prediction has no question, or a question no prediction."""
    asked = {question.id for question in questions}
    if unknown := sorted(predictions.keys() - asked):
        raise InputError(f"{file}: {_some(unknown)} not among the questions")
    if unanswered := sorted(asked - predictions.keys()):
        raise InputError(f"{file}: no prediction for {_some(unanswered)}")


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:3])
    return f"{shown} (and {len(ids) - 3} more)" if len(ids) > 3 else shown


def _from_jsonl(file: Path) -> dict[str, str]:
    predictions: dict[str, str] = {}
    for number, record in enumerate(read_jsonl(file), start=1):
        identity, sql = _id_and_sql(record, f"{file}, record {number}")
        if identity in predictions:
            raise InputError(f"{file}, record {number}: the id {identity!r} occurs twice")
        predictions[identity] = sql
    if not predictions:
        raise InputError(f"{file}: contains no predictions")
    return predictions


def _id_and_sql(record: Record, where: str) -> tuple[str, str]:
    for name in ("id", "sql"):
        if name not in record:
            raise InputError(f"{where}: no {name!r}; it has {sorted(record)}")
    sql = record["sql"]
    if sql is not None and not isinstance(sql, str):
        raise InputError(f"{where}: 'sql' must be text, got {sql!r:.80}")
    return str(record["id"]), sql or ""


def _from_bird(file: Path, questions: Sequence[Question]) -> dict[str, str]:
    content = read_json(file)
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected BIRD's object, number to SQL")
    by_number = _ids_by_number(questions)
    predictions = {}
    for number, sql in content.items():
        if number not in by_number:
            raise InputError(f"{file}: the number {number!r} is not among the questions")
        predictions[by_number[number]] = _text(sql, file, number)
    return _without_databases(predictions, questions)


def _ids_by_number(questions: Sequence[Question]) -> dict[str, str]:
    """BIRD keys its predictions by position; a subset such as mini-dev by question id."""
    by_number = {question.id.rpartition("_")[2]: question.id for question in questions}
    if len(by_number) == len(questions) and all(number.isdigit() for number in by_number):
        return by_number
    return {str(position): question.id for position, question in enumerate(questions)}


def _text(sql: Any, file: Path, number: str) -> str:
    if not isinstance(sql, str):
        raise InputError(f"{file}: the SQL of {number} must be text, got {sql!r:.80}")
    return sql


def _from_lines(file: Path, questions: Sequence[Question]) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 at byte {error.start}") from error
    if lines and not lines[-1]:
        lines.pop()
    if len(lines) != len(questions):
        raise InputError(f"{file}: {len(lines)} lines for {len(questions)} questions")
    by_id = {question.id: line for question, line in zip(questions, lines, strict=True)}
    return _without_databases(by_id, questions)


def _without_databases(lines: dict[str, str], questions: Sequence[Question]) -> dict[str, str]:
    """The SQL of lines that may end with the id of their database.

    After a plain tab, as in Spider's gold files, the id is removed only if most lines end with that
    of their question: `FROM\tsinger` may be part of the SQL.
    """
    endings = {question.id: f"\t{question.db_id}" for question in questions}
    lines = {identity: _before_separator(line) for identity, line in lines.items()}
    written = [(line, endings[identity]) for identity, line in lines.items() if line.strip()]
    with_database = sum(line.endswith(ending) for line, ending in written)
    if 2 * with_database <= len(written):
        return lines
    return {identity: line.removesuffix(endings[identity]) for identity, line in lines.items()}


def _before_separator(line: str) -> str:
    for separator in SEPARATORS:
        line = line.partition(separator)[0]
    return line
