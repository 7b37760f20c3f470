"""Copy SQLite databases into DuckDB files or onto a server: types, keys, indexes and rows.

    python scripts/copy_database.py --source my.sqlite --target my.duckdb
    python scripts/copy_database.py --source my.sqlite --target postgresql://owner@localhost/sales
    python scripts/copy_database.py --source spider/database --target postgresql://owner@localhost

A source that is a folder in the layout of the benchmarks (NAME/NAME.sqlite) is copied database by
database, into a folder of the same layout or into databases of a server. The user must be allowed
to create databases; a database that exists already is left as it is.
"""

from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.execution import database_fault
from slmsql.execution.engines.address import is_url, with_name
from slmsql.execution.engines.copying import copy_database


@dataclass(kw_only=True)
class Options:
    source: Path = field(metadata={"help": "SQLite file, or folder with NAME/NAME.sqlite"})
    target: Path = field(metadata={"help": "DuckDB file, folder or URL"})
    names: list[str] = field(
        default_factory=list, metadata={"help": "databases of the folder to copy; default: all"}
    )


def main() -> None:
    options = parse(Options, about=__doc__)
    for source, target in _copies(options):
        if database_fault(target) is None:
            print(f"{target}: exists already")
            continue
        report = copy_database(source, target)
        print(f"{target}: {len(report.tables)} tables, {report.rows} rows", flush=True)
        for reason in report.left_out:
            print(f"  left out: {reason}")


def _copies(options: Options) -> list[tuple[Path, Path]]:
    """Each database with the place of its copy."""
    if options.source.is_file():
        return [(options.source, options.target)]
    sources = sorted(options.source.glob("*/*.sqlite"))
    if unknown := set(options.names) - {source.stem for source in sources}:
        raise InputError(f"{options.source} has no database {sorted(unknown)[0]!r}")
    if not sources:
        raise InputError(f"{options.source} is no file, and no folder with NAME/NAME.sqlite")
    wanted = options.names or [source.stem for source in sources]
    return [(s, _place(options.target, s.stem)) for s in sources if s.stem in wanted]


def _place(target: Path, name: str) -> Path:
    return with_name(target, name) if is_url(target) else target / name / f"{name}.duckdb"


if __name__ == "__main__":
    run_program(main)
