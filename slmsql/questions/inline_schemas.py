"""Data sets that give each question its schema as SQL text instead of a database.

They are gretel's synthetic_text_to_sql (`sql_prompt`, `sql_context`, `sql`) and sql-create-context
(`question`, `context`, `answer`). Each schema becomes a database of its own, so that these
questions get the same prompt, and their gold SQL the same check, as all others.
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
class Fields:
    """Names of a data set's fields; `difficulty` and `id` are empty if it has no such field."""

    source: str
    question: str
    schema: str
    sql: str
    difficulty: str = ""
    id: str = ""


GRETEL = Fields("gretel", "sql_prompt", "sql_context", "sql", "sql_complexity", "id")
CREATE_CONTEXT = Fields("sql-create-context", "question", "context", "answer")


def fields_of(record: Record) -> Fields | None:
    """The fields of the data set that a record belongs to; None if it is neither of the two."""
    for fields in (GRETEL, CREATE_CONTEXT):
        if {fields.question, fields.schema, fields.sql} <= record.keys():
            return fields
    return None


def inline_schema_questions(
    records: Iterable[Record], databases: Path, where: str
) -> Iterator[Question]:
    """Yield the questions of a data set and create their databases where they are missing.

    A schema that SQLite cannot run, or that does more than create and fill tables, leaves no
    database; programs count its question as one without a database.

    Args:
        records: the records of the data set.
        databases: folder to create databases in.
        where: name of the file or data set, for errors.

    Raises:
        InputError: a record lacks a field or has an empty one; the message has its position.
    """
    for position, record in enumerate(records):
        fields = fields_of(record)
        if fields is None:
            raise InputError(
                f"{where}, record {position}: not the fields that the first record has"
            )
        texts = [record[name] for name in (fields.question, fields.schema, fields.sql)]
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError(f"{where}, record {position}: an empty question, schema or SQL")
        yield _question(record, fields, position, databases)


def _question(record: Record, fields: Fields, position: int, databases: Path) -> Question:
    schema = str(record[fields.schema])
    db_id = blake2b(schema.encode(errors="replace"), digest_size=8).hexdigest()
    database = databases / db_id / f"{db_id}.sqlite"
    if not database.exists() and is_harmless(schema):
        try:
            create_database(database, schema)
        except InputError:  # the dialect of another engine
            database.parent.rmdir()
    number = record.get(fields.id, position) if fields.id else position
    return Question(
        id=f"{fields.source}_{number}",
        text=str(record[fields.question]),
        db_id=db_id,
        database=database,
        gold_sql=str(record[fields.sql]),
        difficulty=str(record.get(fields.difficulty) or ""),
        source=fields.source,
    )
