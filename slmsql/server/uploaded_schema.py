"""Empty databases for schemas that clients send as text. The text is parsed, never run.

The tables found in it are written as a script of our own. Everything else in the text (ATTACH,
triggers, inserts, expressions) never reaches SQLite.
"""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from sqlglot import exp

from slmsql.errors import InputError
from slmsql.execution import create_database
from slmsql.schema.model import Column, ForeignKey, Schema, Table
from slmsql.sql.parsing import parse_statements

MOST_TABLES = 200
MOST_COLUMNS = 2000  # of all tables together; SQLite allows 2,000 in one
MOST_FILES = 500  # databases kept on disk; the oldest that are not in use are removed
NAME_LENGTH = 100
TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_ ]*(\([0-9, ]*\))?")


class UploadedSchemas:
    """The databases made from schemas that clients send; any thread may ask for one.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._in_use: Counter[Path] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def database(self, ddl: str) -> Iterator[Path]:
        """An empty database with the tables of the text; it is not removed within the `with`.

        The same text gives the same file.

        Raises:
            InputError: the text cannot be parsed, has no table, has too many tables or columns, or
                SQLite refuses a name.
        """
        digest = blake2b(ddl.encode(errors="replace"), digest_size=12).hexdigest()
        path = self._folder / f"{digest}.sqlite"
        with self._lock:
            self._in_use[path] += 1
        try:
            self._make(path, ddl)
            yield path
        finally:
            with self._lock:
                self._in_use[path] -= 1
                self._in_use += Counter()  # drops those that nobody uses

    def _make(self, path: Path, ddl: str) -> None:
        if path.exists():
            return
        script = Schema(tuple(_tables(ddl))).text()
        with self._lock:
            if not path.exists():  # another thread may have made it meanwhile
                _create(path, script)
                self._remove_oldest()

    def _remove_oldest(self) -> None:
        files = sorted(self._folder.glob("*.sqlite"), key=lambda file: file.stat().st_mtime_ns)
        for file in files[:-MOST_FILES]:
            if file not in self._in_use:
                file.unlink(missing_ok=True)


def _create(path: Path, script: str) -> None:
    try:
        create_database(path, script)
    except InputError as error:  # its message names the path, which is not for clients
        raise InputError(f"SQLite refuses the schema: {error.__cause__}") from error


def _tables(ddl: str) -> list[Table]:
    statements = parse_statements(ddl)
    if statements is None:
        raise InputError("the schema cannot be parsed as CREATE TABLE statements")
    tables = {
        table.name.lower(): table
        for statement in statements
        if isinstance(statement, exp.Create) and statement.kind == "TABLE"
        for table in _table(statement)
    }
    if not tables:
        raise InputError("the schema has no CREATE TABLE with columns")
    if len(tables) > MOST_TABLES or sum(len(t.columns) for t in tables.values()) > MOST_COLUMNS:
        raise InputError(
            f"the schema is too large; at most {MOST_TABLES} tables and {MOST_COLUMNS} columns"
        )
    return list(tables.values())


def _table(statement: exp.Create) -> Iterator[Table]:
    schema = statement.this
    if not isinstance(schema, exp.Schema) or not isinstance(schema.this, exp.Table):
        return
    # The parser gives a column without a type as a bare identifier.
    column_types = (exp.ColumnDef, exp.Identifier)
    definitions = [item for item in schema.expressions if isinstance(item, column_types)]
    columns = {item.name.lower(): Column(_name(item.name), _type(item)) for item in definitions}
    if columns:
        primary = [item.name for item in definitions if item.find(exp.PrimaryKeyColumnConstraint)]
        for key in schema.find_all(exp.PrimaryKey):
            primary = [part.name for part in key.expressions]
        primary_key = tuple(name for name in primary if name.lower() in columns)
        foreign_keys = tuple(_foreign_keys(schema))
        name = _name(schema.this.name)
        yield Table(name, tuple(columns.values()), primary_key, foreign_keys)


def _foreign_keys(schema: exp.Schema) -> Iterator[ForeignKey]:
    for item in schema.expressions:
        if isinstance(item, exp.ColumnDef) and (reference := item.find(exp.Reference)):
            yield from _foreign_key([item.name], reference)
        elif (key := item.find(exp.ForeignKey)) and (reference := key.args.get("reference")):
            yield from _foreign_key([part.name for part in key.expressions], reference)


def _foreign_key(columns: list[str], reference: exp.Expr) -> Iterator[ForeignKey]:
    target = reference.this
    if isinstance(target, exp.Schema):
        parts = [part.name for part in target.expressions]
        yield ForeignKey(tuple(map(_name, columns)), _name(target.this.name), tuple(parts))


def _name(name: str) -> str:
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise InputError(f"{name!r:.80} cannot be the name of a table or column")
    return name


def _type(column: exp.Expr) -> str:
    data_type = column.args.get("kind")
    text = data_type.sql(dialect="sqlite") if data_type else ""
    return text if TYPE.fullmatch(text) and len(text) <= 40 else ""
