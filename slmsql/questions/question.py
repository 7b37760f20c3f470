"""Questions over databases, and readers of the layouts in which benchmarks are published."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.questions.records import read_records


@dataclass(frozen=True, slots=True)
class Question:
    """One question over one database; `gold_sql` is None where the answer is not known."""

    id: str
    text: str
    db_id: str
    database: Path
    evidence: str = ""
    gold_sql: str | None = None
    difficulty: str = ""
    source: str = ""

    def as_record(self) -> Record:
        """The question as a JSON object that `read_questions` takes back."""
        return {**asdict(self), "database": str(self.database)}


# Where each benchmark publishes its splits: (questions, databases), relative to its root.
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


def read_benchmark(name: str, root: Path, split: str) -> list[Question]:
    """Read a split of Spider or BIRD from the folder in which it is published.

    Raises:
        InputError: the benchmark or split is unknown.
        FileNotFoundError: the folder is not in that layout.
    """
    return read_questions(*benchmark_paths(name, root, split))


def benchmark_paths(name: str, root: Path, split: str) -> tuple[Path, Path]:
    """The question file and the folder of databases of a split, both checked to exist."""
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
    """Read questions from Spider's or BIRD's JSON or from JSON Lines.

    Args:
        file: `dev.json`, `train.json`, ... as published, or JSON Lines with at least `question`
            and `db_id` or `database`.
        databases: folder with `<db_id>/<db_id>.sqlite`; JSON Lines with a `database` need none.

    Returns:
        The questions in the order of the file. A database that is not there is not an error yet:
        `with_databases` and the programs say what becomes of such questions.

    Raises:
        InputError: a record is malformed (the message has its position), an id occurs twice, or
            the file is empty.
    """
    if databases is not None and not databases.is_dir():
        raise FileNotFoundError(f"{databases} is no folder; expected <db_id>/<db_id>.sqlite in it")
    questions = [
        _question(record, f"{file}, record {position}", position, file, databases)
        for position, record in enumerate(read_records(str(file)))
    ]
    if not questions:
        raise InputError(f"{file}: no questions in it")
    if file.suffix == ".json":
        questions = _tell_apart(questions)
    _refuse_doubles(questions, file)
    return questions


def with_databases(questions: Iterable[Question]) -> tuple[list[Question], list[Question]]:
    """Split questions into those whose database file exists and those whose does not."""
    present: dict[Path, bool] = {}
    found: list[Question] = []
    missing: list[Question] = []
    for question in questions:
        if question.database not in present:
            present[question.database] = question.database.is_file()
        (found if present[question.database] else missing).append(question)
    return found, missing


def _question(
    record: Record, where: str, position: int, file: Path, databases: Path | None
) -> Question:
    text = _first(record, ("question", "SpiderSynQuestion", "text"), where)
    gold = record.get("gold_sql", record.get("SQL", record.get("query", record.get("sql"))))
    database = _database(record, where, databases)
    return Question(
        id=_identity(record, position, file),
        text=text,
        db_id=str(record.get("db_id") or database.stem),
        database=database,
        evidence=str(record.get("evidence") or record.get("external_knowledge") or ""),
        gold_sql=gold if isinstance(gold, str) and gold.strip() else None,
        difficulty=str(record.get("difficulty") or ""),
        source=str(record.get("source") or _benchmark(record)),
    )


def _first(record: Record, names: Sequence[str], where: str) -> str:
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value.strip():
            return value
    raise InputError(f"{where}: no {names[0]!r}; it has {sorted(record)}")


def _database(record: Record, where: str, databases: Path | None) -> Path:
    if record.get("database") and databases is None:
        return Path(str(record["database"]))
    db_id = record.get("db_id")
    if not isinstance(db_id, str) or not db_id.strip():
        raise InputError(f"{where}: no 'db_id' and no 'database'; it has {sorted(record)}")
    if databases is None:
        raise InputError(f"{where}: it has a db_id but no 'database'; say --databases DIR")
    return databases / db_id.strip() / f"{db_id.strip()}.sqlite"


def _benchmark(record: Record) -> str:
    return "bird" if "SQL" in record else "spider" if "query" in record else ""


def _identity(record: Record, position: int, file: Path) -> str:
    """The id in use for prediction files: `spider_dev_N`, `bird_dev_N`, or the record's own.

    N is the position in the file; BIRD's `question_id` where there is one, so that a subset such
    as mini-dev shares its ids with dev.
    """
    if "id" in record:
        return str(record["id"])
    benchmark = _benchmark(record) or "question"
    number = record.get("question_id", position)
    return f"{benchmark}_{_split(file)}_{number}"


def _split(file: Path) -> str:
    return next((name for name in ("train", "dev", "test") if name in file.stem), file.stem)


def _tell_apart(questions: Sequence[Question]) -> list[Question]:
    """BIRD's mini-dev asks two questions twice; the second time they get an id of their own."""
    seen: set[Question] = set()
    found = []
    for question in questions:
        doubled = question in seen
        seen.add(question)
        found.append(replace(question, id=f"{question.id}#2") if doubled else question)
    return found


def _refuse_doubles(questions: Sequence[Question], file: Path) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise InputError(f"{file}: the id {question.id!r} occurs twice")
        seen.add(question.id)
