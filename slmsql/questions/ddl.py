"""Databases made from CREATE TABLE texts, where a data set comes without database files."""

import re
from collections.abc import Iterator
from pathlib import Path

import ijson

from slmsql.errors import InputError
from slmsql.execution import create_database
from slmsql.sql.tokens import meaningful

HARMLESS = ("CREATE", "INSERT", "UPDATE", "DELETE", "ALTER")
NEXT = re.compile(r"\)\s*\n\s*(?=CREATE\s)", re.IGNORECASE)


def read_ddl(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (db_id, script) of a list of `{"db_id", "ddls": [...]}` or `{"db_id", "ddl": "..."}`.

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
    """Create each database that is not there yet, without rows.

    Returns:
        How many were created, and the error of each database whose script is not valid.
    """
    created = 0
    broken: dict[str, str] = {}
    for db_id, script in read_ddl(ddl):
        path = databases / db_id / f"{db_id}.sqlite"
        if db_id in broken or path.exists():
            continue
        if not is_harmless(script):
            broken[db_id] = f"{db_id}: its DDL does more than make tables"
            continue
        try:
            create_database(path, script)
            created += 1
        except InputError as error:
            broken[db_id] = str(error)
    return created, broken


def is_harmless(script: str) -> bool:
    """Whether a script does nothing but make and fill tables: it comes from somebody's data set."""
    heads: list[str] = []
    is_first = True
    for _, text in meaningful(script):
        if is_first and text != ";":
            heads.append(text.upper())
        is_first = text == ";"
    return bool(heads) and all(head in HARMLESS for head in heads)


def _entry(item: object, where: str) -> tuple[str, str]:
    if not isinstance(item, dict) or not isinstance(item.get("db_id"), str):
        raise InputError(f"{where}: expected an object with db_id, got {item!r:.80}")
    db_id = item["db_id"].strip()
    if not db_id or Path(db_id).name != db_id:
        raise InputError(f"{where}: the db_id {db_id!r} is no name of a folder")
    parts = item.get("ddls", item.get("ddl"))
    if isinstance(parts, str):
        parts = [NEXT.sub(");\n", parts)]
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise InputError(f"{where}: no DDL; expected 'ddls' (a list of texts) or 'ddl' (a text)")
    return db_id, ";\n".join(part.rstrip().rstrip(";") for part in parts)
