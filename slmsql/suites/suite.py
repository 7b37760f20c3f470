"""Make a suite: create its database, run every possible question, and write the sound ones."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import Executor, Statement, create_database
from slmsql.files import Record, write_jsonl
from slmsql.questions.question import Question
from slmsql.sql.dialect import Dialect
from slmsql.sql.transpiling import to_sqlite
from slmsql.suites.faults import cut_ties, is_trivial, spelling, spelling_of_gold
from slmsql.suites.forms import Form, FormQuestion, interleaved

LONGEST_ANSWER = 200  # rows; people do not ask for more


@dataclass(frozen=True, slots=True)
class Suite:
    """A domain: a database, forms of question, and the sizes of the question files.

    Args:
        name: also names the database and its folder.
        script: gives the SQL that creates the database, for a seed.
        forms: the questions to choose from.
        sizes: number of questions by file name (without `.jsonl`).
        dialect: of the forms' SQL; it is transpiled to SQLite.
    """

    name: str
    script: Callable[[int], str]
    forms: Sequence[Form]
    sizes: dict[str, int]
    dialect: Dialect = Dialect.SQLITE


def make(suite: Suite, folder: Path, seed: int, executor: Executor) -> dict[str, int]:
    """Write the database and the question files; returns the number of questions by file.

    Raises:
        InputError: the SQL of a form fails, or the forms give too few sound questions.
    """
    database = folder / "databases" / suite.name / f"{suite.name}.sqlite"
    create_database(database, suite.script(seed))
    records = list(_sound_records(suite, seed, database, executor))
    needed = sum(suite.sizes.values())
    if len(records) < needed:
        raise InputError(f"{suite.name}: {len(records)} sound questions, {needed} are needed")
    start = 0
    for file, size in suite.sizes.items():
        part = records[start : start + size]
        write_jsonl(folder / f"{file}.jsonl", _with_ids(suite, file, part))
        start += size
    return suite.sizes


def _sound_records(suite: Suite, seed: int, database: Path, executor: Executor) -> Iterator[Record]:
    """Questions with a non-trivial, clear answer of sensible length; no two alike."""
    form_questions = list(interleaved(suite.forms, seed))
    queries = [to_sqlite(question.sql, suite.dialect) for question in form_questions]
    executions = executor.run([Statement(database, sql) for sql in queries], preview=1)
    questions = [
        Question(str(number), form_question.text, suite.name, database, gold_sql=sql)
        for number, (form_question, sql) in enumerate(zip(form_questions, queries, strict=True))
    ]
    tied = cut_ties(questions, executor)
    texts, golds = set[str](), set[str]()
    for question, form_question, execution in zip(
        questions, form_questions, executions, strict=True
    ):
        if not execution.ok:
            raise InputError(
                f"{suite.name}, form {form_question.form}: {execution.error} in {form_question.sql}"
            )
        text, gold = spelling(question.text), spelling_of_gold(question)
        if text in texts or gold in golds or question.id in tied:
            continue
        if not is_trivial(execution) and execution.row_count <= LONGEST_ANSWER:
            texts.add(text)
            golds.add(gold)
            yield _record(form_question, question, suite.dialect)


def _record(form_question: FormQuestion, question: Question, dialect: Dialect) -> Record:
    record = {
        "question": question.text,
        "db_id": question.db_id,
        "gold_sql": question.gold_sql,
        "difficulty": form_question.tier,
        "form": form_question.form,
    }
    return record if dialect is Dialect.SQLITE else {**record, f"{dialect}_sql": form_question.sql}


def _with_ids(suite: Suite, file: str, records: Iterable[Record]) -> Iterator[Record]:
    for number, record in enumerate(records):
        yield {"id": f"{suite.name}_{file}_{number}", **record, "source": suite.name}
