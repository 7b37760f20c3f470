"""Write a sample database to ask about: the tables of Chinook, a music shop, with made-up rows.

    slmsql sample --output chinook.sqlite
    slmsql ask --database chinook.sqlite --endpoint http://localhost:11434

The database has 11 tables: artists, albums, tracks, customers, invoices ... It is the same on every
machine. A file that exists already is left as it is.
"""

from dataclasses import dataclass, field
from pathlib import Path

from slmsql.errors import InputError
from slmsql.suites.chinook import make_chinook


@dataclass(kw_only=True)
class Options:
    """Options of the sample."""

    output: Path = field(default=Path("chinook.sqlite"), metadata={"help": "SQLite file to write"})


def main(options: Options) -> None:
    """Write the database.

    Raises:
        InputError: the file exists.
    """
    if options.output.exists():
        raise InputError(f"{options.output} exists; name another file with --output")
    make_chinook(options.output)
    print(f"{options.output}: written; ask about it with")
    print(f"    slmsql ask --database {options.output} --endpoint http://localhost:11434")
