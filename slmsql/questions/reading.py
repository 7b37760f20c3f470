"""Questions from files: Spider's and BIRD's JSON, JSON Lines, and whole benchmark folders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution.engines.address import dialect_of, is_url, name_of, server_address, with_name
from slmsql.files import Record
from slmsql.questions.question import Question
from slmsql.questions.records import read_records
from slmsql.sql.dialect import Dialect

# Where each benchmark keeps its splits: (questions, databases), relative to its folder.
LAYOUTS: dict[str, dict[str, tuple[str, str]]] = {
    "spider": {
        "dev": ("dev.json", "database"),
        "train": ("train_spider.json", "database"),
        "train_others": ("train_others.json", "database"),
        "test": ("test.json", "test_database"),
    },
    "bird": {
        "dev": ("dev.json", "dev_databases"),
        "train": ("train.json", "train_databases"),
        "mini_dev": ("mini_dev_sqlite.json", "dev_databases"),
    },
}
# A suite's questions may have a gold query for each engine.
GOLD_BY_DIALECT = {dialect: f"{dialect}_sql" for dialect in Dialect}
# Spider-Syn keeps both questions; the one with synonyms is asked.
TEXT_FIELDS = ("question", "SpiderSynQuestion", "text")


def read_benchmark(name: str, root: Path, split: str) -> list[Question]:
    """Read a split of Spider or BIRD from the folder that the benchmark unpacks to.

    Raises:
        InputError: the benchmark or split is unknown.
        FileNotFoundError: a file or folder of the benchmark's layout is missing.
    """
    return read_questions(*benchmark_paths(name, root, split))


def benchmark_paths(name: str, root: Path, split: str) -> tuple[Path, Path]:
    """The question file and the database folder of a split. Both exist.

    Raises:
        InputError: the benchmark or split is unknown.
        FileNotFoundError: a file or folder of the benchmark's layout is missing.
    """
    if name not in LAYOUTS:
        raise InputError(f"unknown benchmark {name!r}; expected one of {sorted(LAYOUTS)}")
    if split not in LAYOUTS[name]:
        raise InputError(
            f"unknown split {split!r} of {name}; expected one of {sorted(LAYOUTS[name])}"
        )
    file, databases = (root / part for part in LAYOUTS[name][split])
    if not file.is_file() and (root / split / file.name).is_file():  # as BIRD unpacks
        file, databases = (root / split / part.name for part in (file, databases))
    for path in (file, databases):
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; is {root} the folder of {name}?")
    return file, databases


def read_questions(file: Path, databases: Path | None = None) -> list[Question]:
    """Read questions from Spider's or BIRD's JSON, or from JSON Lines.

    Args:
        file: `dev.json`, `train.json`, ... as published, or JSON Lines whose objects have at least
            `question` and `db_id` or `database`. A gold query for another engine may stand beside
            `gold_sql`, as `postgres_sql`, `mysql_sql` or `duckdb_sql`.
        databases: folder with `<db_id>/<db_id>.sqlite` or `.duckdb`, or the URL of a server with
            databases of these names. JSON Lines with `database` need none.

    Returns:
        The questions in the order of the file. Their databases may be missing: `with_databases`
        tells which, and each program decides what to do about them.

    Raises:
        InputError: a record is malformed (the message has its position), an id occurs twice, the
            file is empty, or the URL of a database holds a password.
        FileNotFoundError: the file or the folder of databases is missing.
    """
    if databases is not None and not is_url(databases) and not databases.is_dir():
        raise FileNotFoundError(
            f"{databases} is not a folder; expected <db_id>/<db_id>.sqlite in it"
        )
    questions = [
        _question(record, f"{file}, record {position}", position, file, databases)
        for position, record in enumerate(read_records(str(file)))
    ]
    if not questions:
        raise InputError(f"{file}: no questions in it")
    if file.suffix == ".json":
        questions = _with_repeats_renamed(questions)
    _check_unique(questions, file)
    return questions


def _question(
    record: Record, where: str, position: int, file: Path, databases: Path | None
) -> Question:
    text = _text(record, where)
    database = _database(record, where, databases)
    if is_url(database):
        server_address(database)  # refuses a password, which must not reach any file
    gold_sql = _gold_sql(record, database)
    benchmark = "bird" if "SQL" in record else "spider" if "query" in record else ""
    return Question(
        id=_id(record, benchmark, position, file),
        text=text,
        db_id=str(record.get("db_id") or name_of(database)),
        database=database,
        evidence=str(record.get("evidence") or record.get("external_knowledge") or ""),
        gold_sql=gold_sql if isinstance(gold_sql, str) and gold_sql.strip() else None,
        difficulty=str(record.get("difficulty") or ""),
        source=str(record.get("source") or benchmark),
    )


def _gold_sql(record: Record, database: Path) -> object:
    """The gold query for the database's engine (`postgres_sql`, ...), else the only one."""
    if any(name in record for name in GOLD_BY_DIALECT.values()):
        own = record.get(GOLD_BY_DIALECT[dialect_of(database)])
        if own is not None:
            return own
    return record.get("gold_sql", record.get("SQL", record.get("query", record.get("sql"))))


def _text(record: Record, where: str) -> str:
    for field in TEXT_FIELDS:
        text = record.get(field)
        if isinstance(text, str) and text.strip():
            return text
    raise InputError(f"{where}: no {TEXT_FIELDS[0]!r}; it has {sorted(record)}")


def _database(record: Record, where: str, databases: Path | None) -> Path:
    if record.get("database") and databases is None:
        return Path(str(record["database"]))
    db_id = record.get("db_id")
    if not isinstance(db_id, str) or not db_id.strip():
        raise InputError(f"{where}: no 'db_id' and no 'database'; it has {sorted(record)}")
    if databases is None:
        raise InputError(f"{where}: has 'db_id' but no 'database'; add --databases DIR")
    return with_name(databases, db_id.strip())


def _id(record: Record, benchmark: str, position: int, file: Path) -> str:
    """The record's own id, else the one that prediction files use, such as `spider_dev_7`.

    The number is the position in the file, or BIRD's `question_id` if the record has one, so that
    a subset such as mini-dev shares its ids with dev.
    """
    if "id" in record:
        return str(record["id"])
    split = next((name for name in ("train", "dev", "test") if name in file.stem), file.stem)
    number = record.get("question_id", position)
    return f"{benchmark or 'question'}_{split}_{number}"


def _with_repeats_renamed(questions: Sequence[Question]) -> list[Question]:
    """Give a repeated question an id of its own: BIRD's mini-dev asks two questions twice."""
    seen: set[Question] = set()
    renamed = []
    for question in questions:
        is_repeat = question in seen
        seen.add(question)
        renamed.append(replace(question, id=f"{question.id}#2") if is_repeat else question)
    return renamed


def _check_unique(questions: Sequence[Question], file: Path) -> None:
    ids: set[str] = set()
    for question in questions:
        if question.id in ids:
            raise InputError(f"{file}: the id {question.id!r} occurs twice")
        ids.add(question.id)
