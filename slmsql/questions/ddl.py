"""Databases created from CREATE TABLE text, for data sets that come without database files."""

import re
from collections.abc import Iterator
from pathlib import Path

import ijson

from slmsql.errors import InputError
from slmsql.execution import create_database
from slmsql.sql.tokens import meaningful

HARMLESS = ("CREATE", "INSERT", "UPDATE", "DELETE", "ALTER")
# The end of a statement whose semicolon is missing: `)`, a line break and the next CREATE. The
# lookahead and the possessive `\s++` keep the time linear in long white space.
MISSING_SEMICOLON = re.compile(r"\)(?=[^\S\n]*\n)\s++(?=CREATE\s)", re.IGNORECASE)


def read_ddl(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (db_id, script) from a list of `{"db_id", "ddls": [...]}` or `{"db_id", "ddl": "..."}`.

    Raises:
        InputError: an entry is malformed, or the file is cut off.
    """
    position = -1
    try:
        with open(file, "rb") as stream:
            for position, item in enumerate(ijson.items(stream, "item", use_float=True)):
                yield _entry(item, f"{file}, entry {position}")
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: broken after entry {position}: {error}") from error


def create_missing(ddl: Path, databases: Path) -> tuple[int, dict[str, str]]:
    """Create each missing database of a DDL file, without rows.

    Returns:
        The number of databases created, and the error of each database whose script is invalid.
    """
    created = 0
    errors: dict[str, str] = {}
    for db_id, script in read_ddl(ddl):
        path = databases / db_id / f"{db_id}.sqlite"
        if db_id in errors or path.exists():
            continue
        if not is_harmless(script):
            errors[db_id] = f"{db_id}: its DDL does more than create and fill tables"
            continue
        try:
            create_database(path, script)
            created += 1
        except InputError as error:
            errors[db_id] = str(error)
    return created, errors


def is_harmless(script: str) -> bool:
    """Whether a script only creates and fills tables. Scripts come from other people's data."""
    first_words: list[str] = []
    starts_statement = True
    for _, text in meaningful(script):
        if starts_statement and text != ";":
            first_words.append(text.upper())
        starts_statement = text == ";"
    return bool(first_words) and all(word in HARMLESS for word in first_words)


def _entry(item: object, where: str) -> tuple[str, str]:
    if not isinstance(item, dict) or not isinstance(item.get("db_id"), str):
        raise InputError(f"{where}: expected an object with db_id, got {item!r:.80}")
    db_id = item["db_id"].strip()
    if not db_id or Path(db_id).name != db_id:
        raise InputError(f"{where}: the db_id {db_id!r} cannot be the name of a folder")
    statements = item.get("ddls", item.get("ddl"))
    if isinstance(statements, str):
        statements = [MISSING_SEMICOLON.sub(");\n", statements)]
    if not isinstance(statements, list) or not all(isinstance(s, str) for s in statements):
        raise InputError(f"{where}: no DDL; expected 'ddls' (a list of texts) or 'ddl' (a text)")
    return db_id, ";\n".join(statement.rstrip().rstrip(";") for statement in statements)
