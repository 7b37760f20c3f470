"""The part of a schema that some queries use: what the merge model needs of a large database.

Names are looked for without regard to case or quotes. What is kept errs on the side of too much: a
table that is only counted keeps its keys, a column name keeps that column in each table used.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from sqlglot import exp

from slmsql.schema.model import Schema, Table
from slmsql.sql.parsing import parse_query

WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Names:
    """Lower-case names that queries use, and tables whose columns are all used (`t.*`)."""

    tables: frozenset[str]
    columns: frozenset[str]
    whole: frozenset[str]


def used_schema(schema: Schema, queries: Sequence[str]) -> Schema:
    """The tables that any of the queries uses, each with the columns used and its keys.

    A query that cannot be parsed counts as using whatever its text mentions. The schema comes back
    whole where no table of it is used.
    """
    names = [_names(query, schema) for query in queries]
    used = Names(
        frozenset().union(*(one.tables for one in names)),
        frozenset().union(*(one.columns for one in names)),
        frozenset().union(*(one.whole for one in names)),
    )
    tables = [table for table in schema.tables if table.name.lower() in used.tables]
    referred = {
        (key.parent.lower(), column.lower())
        for table in tables
        for key in table.foreign_keys
        for column in key.references
    }
    return Schema(tuple(_pruned(table, used, referred) for table in tables)) if tables else schema


def _pruned(table: Table, used: Names, referred: Set[tuple[str, str]]) -> Table:
    keys = tuple(key for key in table.foreign_keys if key.parent.lower() in used.tables)
    kept = {column.lower() for key in keys for column in key.columns}
    kept |= {column.lower() for column in table.primary_key} | used.columns
    kept |= {column for parent, column in referred if parent == table.name.lower()}
    columns = tuple(
        column
        for column in table.columns
        if table.name.lower() in used.whole or column.name.lower() in kept
    )
    # A table without keys that is only counted would lose all its columns.
    return replace(table, columns=columns or table.columns, foreign_keys=keys)


def _names(query: str, schema: Schema) -> Names:
    tree = parse_query(query)
    if tree is None:
        return _mentioned(query, schema)
    tables = {table.name.lower() for table in tree.find_all(exp.Table)}
    columns = {column.name.lower() for column in tree.find_all(exp.Column)}
    columns |= {
        name.name.lower()
        for join in tree.find_all(exp.Join)
        for name in join.args.get("using") or ()
    }
    return Names(frozenset(tables), frozenset(columns), frozenset(_whole(tree)))


def _whole(tree: exp.Expr) -> set[str]:
    """Tables of which all columns are asked for: `SELECT *`, `SELECT t.*`, NATURAL JOIN."""
    found: set[str] = set()
    for select in tree.find_all(exp.Select):
        stars = [item for item in select.expressions if item.is_star]
        natural = any(join.method == "NATURAL" for join in select.args.get("joins") or ())
        if natural or any(isinstance(star, exp.Star) for star in stars):
            found |= {table.name.lower() for table in select.find_all(exp.Table)}
        aliases = {
            table.alias_or_name.lower(): table.name.lower() for table in select.find_all(exp.Table)
        }
        named = {star.table.lower() for star in stars if isinstance(star, exp.Column)}
        found |= {aliases[name] for name in named if name in aliases}
    return found


def _mentioned(query: str, schema: Schema) -> Names:
    text = query.lower()
    words = set(WORD.findall(text))

    def occurs(name: str) -> bool:
        return name.lower() in words if name.isidentifier() else name.lower() in text

    tables = {table.name.lower() for table in schema.tables if occurs(table.name)}
    columns = {
        column.name.lower()
        for table in schema.tables
        for column in table.columns
        if occurs(column.name)
    }
    return Names(frozenset(tables), frozenset(columns), frozenset(tables if "*" in text else ()))
