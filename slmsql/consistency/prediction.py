"""Predictions: one SQL per question, in our JSON Lines or in the benchmarks' own formats."""

from collections import Counter
from collections.abc import Mapping, Sequence
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
    """Read one SQL per question, by question id, in any form that `read_samples` takes.

    Raises:
        InputError: as `read_samples`, or a question has several samples.
    """
    samples = read_samples(file, questions)
    if several := [identity for identity, texts in samples.items() if len(texts) != 1]:
        raise InputError(
            f"{file}: {several[0]} has {len(samples[several[0]])} samples, not one; choose among "
            "them with `slmsql vote --candidates`"
        )
    return {identity: texts[0] for identity, texts in samples.items()}


def read_samples(file: Path, questions: Sequence[Question]) -> dict[str, list[str]]:
    """Read the SQL of each question by question id: one sample, or several.

    These forms are read:
    - JSON Lines, or a JSON list, of objects with `id` or `question_id`, and `sql`, `pred_sql`,
      `sqls` or `pred_sqls`; the last two are lists. In a list whose objects have no id, as OmniSQL
      writes it, they stand in the order of the questions.
    - BIRD's `{"0": "SQL\\t----- bird -----\\tdb_id"}`, keyed by question id or position.
    - Spider's text file, one SQL per line in the order of the questions, each with or without a tab
      and its db_id.

    Raises:
        InputError: a record is malformed, an id occurs twice, or the number of lines differs from
            the number of questions.
    """
    if file.suffix == ".jsonl":
        return _from_records(list(read_jsonl(file)), file, questions)
    if file.suffix == ".json":
        content = read_json(file)
        if isinstance(content, list):
            if not all(isinstance(record, dict) for record in content):
                raise InputError(f"{file}: expected a list of objects with 'sql'")
            return _from_records(content, file, questions)
        return {name: [sql] for name, sql in _from_bird(content, file, questions).items()}
    return {name: [sql] for name, sql in _from_lines(file, questions).items()}


def match_ids(
    predictions: Mapping[str, str], questions: Sequence[Question], file: Path | str
) -> None:
    """Raise if a prediction has no question, or a question no prediction."""
    asked = {question.id for question in questions}
    if unknown := sorted(predictions.keys() - asked):
        raise InputError(f"{file}: {_some(unknown)} not among the questions")
    if unanswered := sorted(asked - predictions.keys()):
        raise InputError(f"{file}: no prediction for {_some(unanswered)}")


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:3])
    return f"{shown} (and {len(ids) - 3} more)" if len(ids) > 3 else shown


def _from_records(
    records: Sequence[Record], file: Path, questions: Sequence[Question]
) -> dict[str, list[str]]:
    if not records:
        raise InputError(f"{file}: contains no predictions")
    ids = _record_ids(records, file, questions)
    samples: dict[str, list[str]] = {}
    for number, (identity, record) in enumerate(zip(ids, records, strict=True), start=1):
        where = f"{file}, record {number}"
        if identity in samples:
            raise InputError(f"{where}: the id {identity!r} occurs twice")
        samples[identity] = _record_samples(record, where)
    return samples


def _record_ids(records: Sequence[Record], file: Path, questions: Sequence[Question]) -> list[str]:
    """The question id of each record: as it stands there, by its number, or by its position."""
    names = [next((n for n in ("id", "question_id") if n in record), "") for record in records]
    if not any(names) and file.suffix == ".json" and len(records) == len(questions):
        return [question.id for question in questions]
    for number, (name, record) in enumerate(zip(names, records, strict=True), start=1):
        if not name:
            raise InputError(f"{file}, record {number}: no 'id'; it has {sorted(record)}")
    written = [str(record[name]) for name, record in zip(names, records, strict=True)]
    asked = {question.id for question in questions}
    if asked.issuperset(written):
        return written
    by_number = _ids_by_number(questions)
    ids: list[str] = []
    for name in written:
        identity = by_number.get(name, name)
        again = f"{identity}#2"  # the second of two questions with one number
        ids.append(again if identity in ids and again in asked else identity)
    return ids


def _record_samples(record: Record, where: str) -> list[str]:
    name = next((n for n in ("sql", "pred_sql", "sqls", "pred_sqls") if n in record), None)
    if name is None:
        raise InputError(f"{where}: no 'sql'; it has {sorted(record)}")
    texts = record[name] if name.endswith("s") else [record[name]]
    if not isinstance(texts, list) or not texts:
        raise InputError(f"{where}: {name!r} must be a list of SQL, got {texts!r:.80}")
    for sql in texts:
        if sql is not None and not isinstance(sql, str):
            raise InputError(f"{where}: {name!r} must be text, got {sql!r:.80}")
    return [sql or "" for sql in texts]


def _from_bird(content: Any, file: Path, questions: Sequence[Question]) -> dict[str, str]:
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected BIRD's object, number to SQL")
    numbers = {question.id: _number(question) for question in questions}
    if not all(map(str.isdigit, numbers.values())) or not content.keys() <= {*numbers.values()}:
        numbers = {question.id: str(position) for position, question in enumerate(questions)}
    if unknown := sorted(content.keys() - {*numbers.values()}):
        raise InputError(f"{file}: the number {unknown[0]!r} is not among the questions")
    predictions = {
        identity: _text(content[number], file, number)
        for identity, number in numbers.items()
        if number in content
    }
    return _without_databases(predictions, questions)


def _ids_by_number(questions: Sequence[Question]) -> dict[str, str]:
    """Question ids by BIRD's `question_id`, the last part of ours; empty if they have none."""
    by_number = {_number(question): question.id for question in reversed(questions)}
    return by_number if all(map(str.isdigit, by_number)) else {}


def _number(question: Question) -> str:
    """BIRD's `question_id`. Mini-dev asks two questions twice: the second time, `#2` follows."""
    return question.id.rpartition("_")[2].partition("#")[0]


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
