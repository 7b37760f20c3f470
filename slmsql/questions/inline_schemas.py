"""Data sets that give each question a schema as SQL text instead of a database.

gretel's synthetic_text_to_sql (`sql_prompt`, `sql_context`, `sql`) and sql-create-context
(`question`, `context`, `answer`). Each context becomes a database of its own, so that such rows go
through the same prompt and the same check that gold runs as all others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import create_database
from slmsql.files import Record
from slmsql.questions.ddl import is_harmless
from slmsql.questions.question import Question


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a data set has what; `difficulty` and `id` are empty where it has none."""

    source: str
    question: str
    context: str
    sql: str
    difficulty: str = ""
    id: str = ""


GRETEL = Columns("gretel", "sql_prompt", "sql_context", "sql", "sql_complexity", "id")
CREATE_CONTEXT = Columns("sql-create-context", "question", "context", "answer")


def columns_of(record: Record) -> Columns | None:
    """Which of the two data sets a record is from; None for any other."""
    for columns in (GRETEL, CREATE_CONTEXT):
        if {columns.question, columns.context, columns.sql} <= record.keys():
            return columns
    return None


def context_questions(records: Iterable[Record], databases: Path, where: str) -> Iterator[Question]:
    """Questions over databases that are created in `databases` where they are not there yet.

    A context that is no valid SQLite leaves no database; the programs count such questions.

    Raises:
        InputError: a record lacks a column; the message has its position.
    """
    for position, record in enumerate(records):
        columns = columns_of(record)
        if columns is None:
            raise InputError(f"{where}, record {position}: not as the records before it")
        texts = [record[name] for name in (columns.question, columns.context, columns.sql)]
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError(f"{where}, record {position}: an empty question, context or SQL")
        yield _question(record, columns, position, databases)


def _question(record: Record, columns: Columns, position: int, databases: Path) -> Question:
    context = str(record[columns.context])
    name = blake2b(context.encode(errors="replace"), digest_size=8).hexdigest()
    database = databases / name / f"{name}.sqlite"
    if not database.exists() and is_harmless(context):
        _create(database, context)
    number = record.get(columns.id, position) if columns.id else position
    return Question(
        id=f"{columns.source}_{number}",
        text=str(record[columns.question]),
        db_id=name,
        database=database,
        gold_sql=str(record[columns.sql]),
        difficulty=str(record.get(columns.difficulty) or ""),
        source=columns.source,
    )


def _create(database: Path, context: str) -> None:
    try:
        create_database(database, context)
    except InputError:  # another engine's dialect: the question stays without a database
        database.parent.rmdir()
