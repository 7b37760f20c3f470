"""Make a suite: run every candidate, keep what is sound, and say what a file of it is worth."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slmsql.errors import InputError
from slmsql.evaluation.diagnosis import tie_query
from slmsql.execution import Execution, Executor, Statement, create_database
from slmsql.files import Record, write_jsonl
from slmsql.questions.question import Question
from slmsql.sql.parsing import normalised
from slmsql.suites.dialect import to_sqlite
from slmsql.suites.forms import Form, Item, in_turn

MOST_ROWS = 200  # a question whose answer is longer is no question that people ask


@dataclass(frozen=True, slots=True)
class Suite:
    """A domain: its tables, its forms, and how many questions each of its files has."""

    name: str
    script: Callable[[int], str]
    """SQL that makes the database, for a seed."""
    forms: Sequence[Form]
    sizes: dict[str, int]
    dialect: str = "sqlite"
    """In which the forms are written; what is run is transpiled from it."""


def make(suite: Suite, folder: Path, seed: int, executor: Executor) -> dict[str, int]:
    """Write a suite's database and question files; returns the number of questions by file.

    Raises:
        InputError: the forms do not give enough sound questions.
    """
    database = folder / "databases" / suite.name / f"{suite.name}.sqlite"
    create_database(database, suite.script(seed))
    sound = list(_sound(suite, seed, database, executor))
    wanted = sum(suite.sizes.values())
    if len(sound) < wanted:
        raise InputError(f"{suite.name}: {len(sound)} sound questions, {wanted} are needed")
    chosen = iter(sound[:wanted])
    for file, size in suite.sizes.items():
        part = [next(chosen) for _ in range(size)]
        write_jsonl(folder / f"{file}.jsonl", _records(suite, file, part))
    return suite.sizes


def check(
    questions: Sequence[Question], executor: Executor, training: Sequence[Question] = ()
) -> dict[str, list[str]]:
    """What is wrong with a suite, by fault: the ids of the questions that have it.

    Args:
        questions: those to check.
        executor: where their gold queries run.
        training: questions that must not come back in `questions`, in text or in SQL.
    """
    faults: dict[str, list[str]] = {}
    executions = executor.run([Statement(q.database, q.gold_sql) for q in questions], preview=1)
    ties = _ties(questions, executor)
    texts: Counter[str] = Counter(_plain(q.text) for q in questions)
    queries: Counter[str] = Counter(_spelled(q) for q in questions)
    seen_texts = {_plain(q.text) for q in training}
    seen_queries = {_spelled(q) for q in training}
    for question, execution in zip(questions, executions, strict=True):
        found = {
            "fails": not execution.ok,
            "empty": execution.ok and _is_empty(execution),
            "depends on the moment": execution.volatile,
            "cut off between equals": question.id in ties,
            "asked twice": texts[_plain(question.text)] > 1,
            "answered twice": queries[_spelled(question)] > 1,
            "text is in training": _plain(question.text) in seen_texts,
            "SQL is in training": _spelled(question) in seen_queries,
        }
        for fault, present in found.items():
            if present:
                faults.setdefault(fault, []).append(question.id)
    return faults


def _sound(suite: Suite, seed: int, database: Path, executor: Executor) -> Iterator[Record]:
    """Items that run, have an answer of sensible length, and are not there already."""
    items = list(in_turn(suite.forms, seed))
    written = [to_sqlite(item.sql, suite.dialect) for item in items]
    executions = executor.run([Statement(database, sql) for sql in written], preview=1)
    questions = [
        Question(str(i), item.text, suite.name, database, gold_sql=sql)
        for i, (item, sql) in enumerate(zip(items, written, strict=True))
    ]
    ties = _ties(questions, executor)
    texts, queries = set[str](), set[str]()
    for question, item, execution in zip(questions, items, executions, strict=True):
        if not execution.ok:
            raise InputError(f"{suite.name}, form {item.form}: {execution.error} in {item.sql}")
        text, query = _plain(item.text), _spelled(question)
        if text in texts or query in queries or question.id in ties:
            continue
        if not _is_empty(execution) and execution.row_count <= MOST_ROWS:
            texts.add(text)
            queries.add(query)
            yield _record(item, question, suite.dialect)


def _record(item: Item, question: Question, dialect: str) -> Record:
    record = {
        "question": item.text,
        "db_id": question.db_id,
        "gold_sql": question.gold_sql,
        "difficulty": item.tier,
        "form": item.form,
    }
    return record if dialect == "sqlite" else {**record, f"{dialect}_sql": item.sql}


def _records(suite: Suite, file: str, part: Iterable[Record]) -> Iterator[Record]:
    for number, record in enumerate(part):
        yield {"id": f"{suite.name}_{file}_{number}", **record, "source": suite.name}


def _is_empty(execution: Execution) -> bool:
    """No rows, or nothing but NULL and 0: such an answer is given by many wrong queries too."""
    return execution.row_count == 0 or (
        execution.row_count == 1 and all(value in (None, 0) for value in execution.rows[0])
    )


def _ties(questions: Sequence[Question], executor: Executor) -> set[str]:
    """Questions whose LIMIT cuts between rows that sort equal."""
    asked = [(q, query) for q in questions if (query := tie_query(q.gold_sql or "")) is not None]
    statements = [Statement(q.database, sql) for q, (sql, _) in asked]
    preview = max((count for _, (_, count) in asked), default=0) + 1
    executions = executor.run(statements, preview=preview)
    return {
        q.id
        for (q, (_, count)), found in zip(asked, executions, strict=True)
        if len(found.rows) > count and found.rows[count - 1] == found.rows[count]
    }


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _spelled(question: Question) -> str:
    sql = question.gold_sql or ""
    return normalised(sql) or sql
