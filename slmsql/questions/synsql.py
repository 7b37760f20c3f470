"""SynSQL-2.5M: its records read as a stream, and its chain of thought brought into our layout."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

import ijson

from slmsql.errors import InputError
from slmsql.questions.question import Question
from slmsql.sql.tokens import meaningful

FENCE = re.compile(r"```(?:sql|sqlite)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
TEXTS = ("db_id", "question", "cot", "sql")


class Reason(StrEnum):
    """Why a record does not become a row."""

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
        """A number for what the record says: equal for duplicates, whatever their reasoning."""
        text = "\0".join((self.db_id, bare(self.question).lower(), self.evidence, bare(self.sql)))
        return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest())

    def question_over(self, databases: Path) -> Question:
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
    """Yield the records of `data.json` one by one; a malformed one is None.

    Raises:
        InputError: the file is empty, cut off or no list; what stood before has been yielded.
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
    """Enough to notice that another file lies there; hashing 9 GB before each start is too much."""
    stat = file.stat()
    return f"{stat.st_size} bytes, changed {stat.st_mtime_ns}"


def think(record: SynRecord) -> str | Reason:
    """The reasoning before the final SQL, or why the record is not taken.

    What follows the final SQL (explanations of it) is cut.
    """
    if "select" not in record.sql.lower():
        return Reason.NO_SELECT
    if has_comment(record.sql):
        return Reason.COMMENT
    blocks = list(FENCE.finditer(record.cot))
    if not blocks or bare(blocks[-1].group(1)) != bare(record.sql):
        return Reason.NO_FINAL_SQL
    if len(blocks) > 1 or bare(record.sql) in bare(record.cot[: blocks[-1].start()]):
        return Reason.REPEATED
    return record.cot[: blocks[-1].start()].strip() or Reason.NO_THOUGHT


def has_comment(sql: str) -> bool:
    """Whether a comment stands in it; `--` inside a literal is none."""
    if "--" not in sql and "/*" not in sql:
        return False
    kept = "".join(text for _, text in meaningful(sql))
    return len(re.sub(r"\s", "", kept)) < len(re.sub(r"\s", "", sql))


def bare(sql: str) -> str:
    """SQL for comparison: one blank between words, no semicolon at the end."""
    return " ".join(sql.split()).rstrip("; ")


def _record(position: int, item: object) -> SynRecord | None:
    if not isinstance(item, dict) or any(not _is_text(item.get(name)) for name in TEXTS):
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
