"""The part of a schema that some queries use, for the prompt of the merge model.

Names match whatever their case and quotes. In doubt a column stays: a table that is only counted
keeps its keys, and a column name keeps that column in every table used.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from sqlglot import exp

from slmsql.schema.model import Schema, Table
from slmsql.sql.parsing import guarded, parse_query

WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class UsedNames:
    """Names that queries use, in lower case; of `whole_tables` they use every column (`t.*`)."""

    tables: frozenset[str]
    columns: frozenset[str]
    whole_tables: frozenset[str]


def used_schema(schema: Schema, queries: Sequence[str]) -> Schema:
    """The tables that any of the queries uses, each with the columns used and its keys.

    A query that cannot be parsed in time counts as using every name in its text. If the queries use
    no table of the schema, the whole schema is returned.
    """
    names_by_query = [_used_names(query, schema) for query in queries]
    used = UsedNames(
        frozenset().union(*(names.tables for names in names_by_query)),
        frozenset().union(*(names.columns for names in names_by_query)),
        frozenset().union(*(names.whole_tables for names in names_by_query)),
    )
    tables = [table for table in schema.tables if table.name.lower() in used.tables]
    referenced = {
        (key.parent.lower(), column.lower())
        for table in tables
        for key in table.foreign_keys
        for column in key.references
    }
    if not tables:
        return schema
    parts = tuple(_used_part(table, used, referenced) for table in tables)
    return replace(schema, tables=parts)


def _used_part(table: Table, used: UsedNames, referenced: Set[tuple[str, str]]) -> Table:
    """A table with the columns used, its keys and the columns that other tables' keys refer to."""
    foreign_keys = tuple(key for key in table.foreign_keys if key.parent.lower() in used.tables)
    names = {column.lower() for key in foreign_keys for column in key.columns}
    names |= {column.lower() for column in table.primary_key} | used.columns
    names |= {column for parent, column in referenced if parent == table.name.lower()}
    columns = tuple(
        column
        for column in table.columns
        if table.name.lower() in used.whole_tables or column.name.lower() in names
    )
    # A table without keys that is only counted would lose all its columns, so it keeps all.
    return replace(table, columns=columns or table.columns, foreign_keys=foreign_keys)


def _used_names(query: str, schema: Schema) -> UsedNames:
    tree = parse_query(query)
    names = None if tree is None else guarded(query, _names_of_tree, tree)
    return _mentioned_names(query, schema) if names is None else names


def _names_of_tree(tree: exp.Expr) -> UsedNames:
    tables = {table.name.lower() for table in tree.find_all(exp.Table)}
    columns = {column.name.lower() for column in tree.find_all(exp.Column)}
    columns |= {
        column.name.lower()
        for join in tree.find_all(exp.Join)
        for column in join.args.get("using") or ()
    }
    return UsedNames(frozenset(tables), frozenset(columns), frozenset(_whole_tables(tree)))


def _whole_tables(tree: exp.Expr) -> set[str]:
    """Tables of which every column is used: `SELECT *`, `SELECT t.*`, NATURAL JOIN."""
    whole: set[str] = set()
    for select in tree.find_all(exp.Select):
        stars = [item for item in select.expressions if item.is_star]
        is_natural = any(join.method == "NATURAL" for join in select.args.get("joins") or ())
        if not stars and not is_natural:
            continue
        names_by_alias = {
            table.alias_or_name.lower(): table.name.lower() for table in select.find_all(exp.Table)
        }
        if is_natural or any(isinstance(star, exp.Star) for star in stars):
            whole |= {table.name.lower() for table in select.find_all(exp.Table)}
        aliases = {star.table.lower() for star in stars if isinstance(star, exp.Column)}
        whole |= {names_by_alias[alias] for alias in aliases if alias in names_by_alias}
    return whole


def _mentioned_names(query: str, schema: Schema) -> UsedNames:
    """The names of the schema that occur in a text."""
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
    whole_tables = tables if "*" in text else set[str]()
    return UsedNames(frozenset(tables), frozenset(columns), frozenset(whole_tables))
