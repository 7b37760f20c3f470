r"""Ask questions about a database in the terminal.

    slmsql ask --database my.sqlite --endpoint http://localhost:11434 --question "How many orders?"

A database is an SQLite or DuckDB file, a folder of CSV, Parquet and JSON files, or a URL such as
postgresql://ann@host/sales (set PGPASSWORD). It is opened read-only.

The model is behind an OpenAI-compatible server (--endpoint), a GGUF file, a folder, or a name on
the hub (--model). One that was not trained with this repository needs --template schema.

Without --question the program reads questions from standard input, one per line. \d lists the
tables, \d TABLE describes one, \save FILE keeps the last SQL, \q ends.
"""

import csv
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import Execution, Row, check_usable
from slmsql.execution.engines.address import name_of
from slmsql.files import json_line
from slmsql.server.reply import decision_text, reply_record
from slmsql.server.service import Reply, Service, ServiceOptions, make_question
from slmsql.server.table import printable, table_text
from slmsql.server.terminal import Commands, typed_lines

ESSENTIAL = ("database", "question", "endpoint", "model", "csv", "json")
INTERRUPTED = 130  # the exit status that shells give to Ctrl-C


@dataclass(kw_only=True)
class Options:
    """Options of the terminal program."""

    database: Path = field(metadata={"help": "file, folder of tables or URL"})
    question: str = field(default="", metadata={"help": "a single question to answer"})
    csv: bool = field(
        default=False, metadata={"help": "print all rows as CSV, and the SQL on standard error"}
    )
    json: bool = field(
        default=False, metadata={"help": "print SQL, all rows and votes as a line of JSON"}
    )
    evidence: str = field(default="", metadata={"help": "a hint, as in BIRD"})
    show_candidates: bool = field(
        default=False, metadata={"help": "show each group of candidates with its votes"}
    )
    service: ServiceOptions

    def __post_init__(self) -> None:
        if self.csv and self.json:
            raise ValueError("give --csv or --json, not both")


def main(options: Options) -> None:
    """Answer the question of the options, or each line of standard input.

    Raises:
        InputError: there is no model, it gave no answer, or with --csv the SQL does not run.
    """
    check_usable(options.database)  # report a wrong path before the model loads
    service = Service(options.service)
    try:
        if options.question:
            _answer(options.question, service, options)
        else:
            _converse(service, options)
    except KeyboardInterrupt:
        if options.service.sampler.is_remote:
            os._exit(INTERRUPTED)  # a thread that waits for a server would keep us for minutes
        raise
    finally:
        service.close()


def _converse(service: Service, options: Options) -> None:
    """Answer lines until standard input ends; at a terminal, an error does not end it."""
    commands = Commands(options.database)
    with typed_lines() as lines:
        for line in lines:
            try:
                if line.startswith("\\"):
                    print(commands.run(line), flush=True)
                else:
                    commands.last_sql = _answer(line, service, options)
            except InputError as error:
                if not sys.stdin.isatty():
                    raise
                print(f"error: {error}", file=sys.stderr)
            except KeyboardInterrupt:
                if not sys.stdin.isatty():
                    raise
                print("interrupted", file=sys.stderr)


def _answer(text: str, service: Service, options: Options) -> str:
    """Print the answer to a question; returns its SQL."""
    question = make_question(text, options.database, name_of(options.database), options.evidence)
    try:
        if options.csv or options.json:
            reply = service.ask(question, options.service.limits.rows)
        else:
            reply = service.ask(question)
    except RuntimeError as error:
        raise InputError(str(error)) from error
    if options.json:
        print(json_line(reply_record(reply)), end="", flush=True)
    elif options.csv:
        print(f"{reply.prediction.sql}\n{decision_text(reply)}", file=sys.stderr)
        _write_csv(reply.execution)
    else:
        print("\n".join(_lines(reply, options.show_candidates)), flush=True)
    return reply.prediction.sql


def _write_csv(execution: Execution) -> None:
    if not execution.ok:
        raise InputError(f"{execution.status.value}: {execution.error}")
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(execution.columns)
    rows.writerows(map(_csv_values, execution.rows))
    sys.stdout.flush()


def _csv_values(row: Row) -> list[object]:
    return [value.hex() if isinstance(value, bytes) else value for value in row]


def _lines(reply: Reply, show_candidates: bool) -> Iterator[str]:
    yield printable(reply.prediction.sql)
    yield ""
    yield table_text(reply.execution, width=shutil.get_terminal_size(fallback=(0, 0)).columns)
    yield ""
    yield decision_text(reply)
    if show_candidates:
        for group in reply.groups:
            rows = group.members[0].row_count
            yield f"  {group.votes} votes, {rows} rows: {printable(group.sql)}"
