"""SynSQL-2.5M: reads its records as a stream and turns their reasoning into our think layout."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

import ijson

from slmsql.errors import InputError
from slmsql.questions.question import Question
from slmsql.sql.tokens import tokens

FENCE = re.compile(r"```(?:sql|sqlite)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
REQUIRED = ("db_id", "question", "cot", "sql")


class Reason(StrEnum):
    """Why a record does not become a training row."""

    MALFORMED = "malformed"
    DUPLICATE = "duplicate"
    NO_SELECT = "no SELECT"
    COMMENT = "comment in SQL"
    NO_FINAL_SQL = "reasoning does not end in the SQL"
    REPEATED = "SQL repeated in reasoning"
    NO_THOUGHT = "no reasoning before the SQL"
    NO_DATABASE = "no database"
    DOES_NOT_RUN = "SQL does not run"
    TOO_LONG = "too long"


@dataclass(frozen=True, slots=True)
class SynRecord:
    """A record of `data.json`; `position` counts from 0."""

    position: int
    db_id: str
    question: str
    evidence: str
    complexity: str
    cot: str
    sql: str

    def identity(self) -> int:
        """A hash of database, question, evidence and SQL: duplicates differ only in reasoning."""
        question = _normalised(self.question).lower()
        text = "\0".join((self.db_id, question, self.evidence, _normalised(self.sql)))
        return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest())

    def question_over(self, databases: Path) -> Question:
        """The record as a question over its database in the folder `databases`."""
        return Question(
            id=f"synsql_{self.position}",
            text=self.question,
            db_id=self.db_id,
            database=databases / self.db_id / f"{self.db_id}.sqlite",
            evidence=self.evidence,
            gold_sql=self.sql,
            difficulty=self.complexity,
            source="synsql",
        )


def read_synsql(file: Path) -> Iterator[SynRecord | None]:
    """Yield the records of `data.json` one by one, and None for a malformed record.

    Raises:
        InputError: the file is empty, cut off or not a list. Records before the fault have been
            yielded by then.
    """
    position = -1
    try:
        with open(file, "rb") as stream:
            for position, item in enumerate(ijson.items(stream, "item", use_float=True)):
                yield _record(position, item)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: broken after record {position}: {' '.join(str(error).split())}; "
            "was it downloaded whole?"
        ) from error
    if position < 0:
        raise InputError(f"{file}: no records in it; expected a JSON list of objects")


def fingerprint(file: Path) -> str:
    """Size and time of change: they tell a replaced file without hashing its 9 GB."""
    stat = file.stat()
    return f"{stat.st_size} bytes, changed {stat.st_mtime_ns}"


def think(record: SynRecord) -> str | Reason:
    """The reasoning before the final SQL, or the reason to skip the record.

    Text after the final SQL, which explains it, is dropped.
    """
    if "select" not in record.sql.lower():
        return Reason.NO_SELECT
    if has_comment(record.sql):
        return Reason.COMMENT
    blocks = list(FENCE.finditer(record.cot))
    sql = _normalised(record.sql)
    if not blocks or _normalised(blocks[-1].group(1)) != sql:
        return Reason.NO_FINAL_SQL
    reasoning = record.cot[: blocks[-1].start()]
    if len(blocks) > 1 or sql in _normalised(reasoning):
        return Reason.REPEATED
    return reasoning.strip() or Reason.NO_THOUGHT


def has_comment(sql: str) -> bool:
    """Whether the SQL has a comment; `--` inside a literal is not a comment."""
    if "--" not in sql and "/*" not in sql:  # as in most records; tokens take longer
        return False
    return any(kind == "space" and text.startswith(("--", "/*")) for kind, text in tokens(sql))


def _normalised(sql: str) -> str:
    """SQL with single spaces and without a final semicolon."""
    return " ".join(sql.split()).rstrip("; ")


def _record(position: int, item: object) -> SynRecord | None:
    if not isinstance(item, dict) or not all(_is_text(item.get(name)) for name in REQUIRED):
        return None
    optional = {name: item.get(name) or "" for name in ("external_knowledge", "sql_complexity")}
    if any(not isinstance(value, str) or "\0" in value for value in optional.values()):
        return None
    return SynRecord(
        position,
        item["db_id"].strip(),
        item["question"],
        optional["external_knowledge"],
        optional["sql_complexity"],
        item["cot"],
        item["sql"],
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value
