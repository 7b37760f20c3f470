"""The questions that a program's options name: a benchmark's split or anyone's own file."""

from itertools import chain
from pathlib import Path

from slmsql.errors import InputError
from slmsql.questions.inline_schemas import fields_of, inline_schema_questions
from slmsql.questions.question import Question
from slmsql.questions.reading import read_benchmark, read_questions
from slmsql.questions.records import HUB, read_records


def read_source(
    questions: str = "",
    databases: str = "",
    *,
    benchmark: str = "",
    root: str = "",
    split: str = "",
) -> list[Question]:
    """Read questions from a file and its databases, or from a split of a benchmark.

    Args:
        questions: a question file, or a data set with inline schemas (gretel's
            synthetic_text_to_sql, sql-create-context) as a file or from the hub.
        databases: folder of the databases; those of inline schemas are created in it.
        benchmark: `spider` or `bird`, instead of `questions`.
        root: folder of the benchmark.
        split: split of the benchmark.

    Raises:
        InputError: neither or both of `questions` and `benchmark` are given, or a record is
            malformed.
        FileNotFoundError: a file or folder is missing.
    """
    if bool(questions) == bool(benchmark):
        raise InputError("give either --questions FILE or --benchmark NAME --root DIR --split S")
    if benchmark:
        if not root or not split:
            raise InputError(f"--benchmark {benchmark} needs --root DIR and --split S")
        return read_benchmark(benchmark, Path(root), split)
    return _read_inline_schemas(questions, databases) or read_questions(
        Path(questions), Path(databases) if databases else None
    )


def _read_inline_schemas(questions: str, databases: str) -> list[Question]:
    """The questions of a data set with inline schemas; empty if the file is of another kind."""
    records = read_records(questions)
    first = next(records, None)
    if first is None or fields_of(first) is None:
        if questions.startswith(HUB) or questions.endswith(".parquet"):
            raise InputError(
                f"{questions}: expected the columns of gretel's synthetic_text_to_sql or of "
                f"sql-create-context, got {sorted(first or ())}"
            )
        return []
    if not databases:
        raise InputError(f"{questions}: add --databases DIR, the folder to create databases in")
    return list(inline_schema_questions(chain([first], records), Path(databases), questions))
