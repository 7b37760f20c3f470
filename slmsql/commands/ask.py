"""Ask questions about a database in the terminal.

    slmsql ask --model MODEL --database my.sqlite --question "How many orders in May?"

A database is an SQLite or DuckDB file, a folder of CSV, Parquet and JSON files, or a URL such as
postgresql://ann@host/sales (set PGPASSWORD). It is opened read-only. Without --question the program
reads questions from standard input, one per line.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import check_usable
from slmsql.execution.engines.address import name_of
from slmsql.server.reply import decision_text, table_text
from slmsql.server.service import Reply, Service, ServiceOptions, make_question


@dataclass(kw_only=True)
class Options:
    """Options of the terminal program."""

    database: Path = field(metadata={"help": "file, folder of tables or URL"})
    question: str = field(default="", metadata={"help": "a single question to answer"})
    evidence: str = field(default="", metadata={"help": "a hint, as in BIRD"})
    show_candidates: bool = field(
        default=False, metadata={"help": "show each group of candidates with its votes"}
    )
    service: ServiceOptions


def main(options: Options) -> None:
    """Answer the question of the options, or each line of standard input."""
    check_usable(options.database)  # report a wrong path before the model loads
    service = Service(options.service)
    try:
        for text in [options.question] if options.question else _typed_questions():
            _answer(text, service, options)
    finally:
        service.close()


def _answer(text: str, service: Service, options: Options) -> None:
    question = make_question(text, options.database, name_of(options.database), options.evidence)
    try:
        reply = service.ask(question)
    except RuntimeError as error:
        raise InputError(str(error)) from error
    print("\n".join(_lines(reply, options.show_candidates)), flush=True)


def _lines(reply: Reply, show_candidates: bool) -> Iterator[str]:
    yield reply.prediction.sql
    yield ""
    yield table_text(reply.execution)
    yield ""
    yield decision_text(reply)
    if show_candidates:
        for group in reply.groups:
            yield f"  {group.votes} votes, {group.members[0].row_count} rows: {group.sql}"


def _typed_questions() -> Iterator[str]:
    while True:
        if sys.stdin.isatty():
            print("question> ", end="", flush=True)
        if not (line := sys.stdin.readline()):
            return
        if line.strip():
            yield line.strip()
