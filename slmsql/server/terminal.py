"""Lines typed at a terminal, with history, and commands that begin with a backslash as in psql."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slmsql.errors import InputError
from slmsql.files import cache_folder, write_text
from slmsql.schema.reading import read_schema

try:
    import readline
except ImportError:  # Python built without it: plain lines
    readline = None  # type: ignore[assignment]

PROMPT = "question> "
LONGEST_HISTORY = 1000  # lines
HELP = r"""\d          the tables
\d TABLE    a table with its columns, keys and some values
\save FILE  write the last SQL to a new file
\q          leave, as Ctrl-D does
Any other line is a question."""


class Commands:
    """Carries out the lines that begin with a backslash."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.last_sql = ""

    def run(self, line: str) -> str:
        """Run a command and return what to print.

        Raises:
            InputError: there is no such command or table, or the file exists already.
        """
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        if name == r"\d":
            return self._table(rest) if rest else self._tables()
        if name == r"\save":
            return self._save(rest)
        if name in (r"\?", r"\h", r"\help"):
            return HELP
        raise InputError(rf"no command {name}; \? lists them")

    def _tables(self) -> str:
        tables = read_schema(self._database, sample_values=0).tables
        lines = [f"{t.name} ({', '.join(column.name for column in t.columns)})" for t in tables]
        return "\n".join(lines)

    def _table(self, name: str) -> str:
        return read_schema(self._database).one_table(name.strip('"')).text()

    def _save(self, name: str) -> str:
        if not name or not self.last_sql:
            raise InputError(r"\save FILE writes the last SQL; ask a question first")
        file = Path(name).expanduser()
        if file.exists():
            raise InputError(f"{file} exists; name a new file")
        write_text(file, self.last_sql + ";\n")
        return f"{file}: written"


@contextmanager
def typed_lines() -> Iterator[Iterator[str]]:
    r"""The lines of standard input that are not blank, until it ends or a line says `\q`.

    On a terminal, lines can be edited, and the arrow keys bring back those of earlier sessions.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield _until_quit(sys.stdin)
        return
    history = cache_folder("ask") / "history"
    _read_history(history)
    try:
        yield _until_quit(_prompted())
    finally:
        _write_history(history)


def _until_quit(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() == r"\q":
            return
        if line.strip():
            yield line.strip()


def _prompted() -> Iterator[str]:
    print(r"Ask a question; \? lists the commands.")
    while True:
        try:
            yield input(PROMPT)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:  # drops the line, as in a shell
            print()


def _read_history(file: Path) -> None:
    if readline is not None and file.is_file():
        readline.read_history_file(file)


def _write_history(file: Path) -> None:
    if readline is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        readline.set_history_length(LONGEST_HISTORY)
        file.touch(mode=0o600)
        readline.write_history_file(file)
