"""Which questions a program is asked for: a benchmark's folder or anyone's own file."""

from itertools import chain
from pathlib import Path

from slmsql.errors import InputError
from slmsql.questions.inline_schemas import columns_of, context_questions
from slmsql.questions.question import Question, read_benchmark, read_questions
from slmsql.questions.records import HUB, read_records


def read_source(
    questions: str = "",
    databases: str = "",
    *,
    benchmark: str = "",
    root: str = "",
    split: str = "",
) -> list[Question]:
    """Read questions from a file with its databases, or from a split of a benchmark.

    For gretel's synthetic_text_to_sql and sql-create-context, in any format and from the hub,
    `databases` is the folder in which their databases are created.

    Raises:
        InputError: neither or both of them are given, or a record is malformed.
        FileNotFoundError: a file or folder is missing.
    """
    if bool(questions) == bool(benchmark):
        raise InputError("give either --questions FILE or --benchmark NAME --root DIR --split S")
    if benchmark:
        if not root or not split:
            raise InputError(f"--benchmark {benchmark} needs --root DIR and --split S")
        return read_benchmark(benchmark, Path(root), split)
    return _from_contexts(questions, databases) or read_questions(
        Path(questions), Path(databases) if databases else None
    )


def _from_contexts(questions: str, databases: str) -> list[Question]:
    """Questions whose schema is in the record; none if the file is another."""
    records = read_records(questions)
    first = next(records, None)
    if first is None or columns_of(first) is None:
        if questions.startswith(HUB) or questions.endswith(".parquet"):
            raise InputError(
                f"{questions}: expected the columns of gretel's synthetic_text_to_sql or of "
                f"sql-create-context, got {sorted(first or ())}"
            )
        return []
    if not databases:
        raise InputError(f"{questions}: say --databases DIR, where its databases are to be created")
    return list(context_questions(chain([first], records), Path(databases), questions))
