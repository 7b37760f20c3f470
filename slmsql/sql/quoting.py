"""Quoting in SQL: names, always or only if needed (`name`, `"first name"`), texts and values."""

import re

from slmsql.sql.dialect import Dialect

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names that SQLite reads as keywords if they are not quoted. Some are keywords only in places where
# we do not use names; quoting them does no harm.
KEYWORDS = """
    add all alter and as asc between by case check collate column commit create cross current_date
    current_time current_timestamp default delete desc distinct drop else end escape except exists
    foreign from full group having if in index inner insert intersect into is join key left like
    limit match natural no not null of offset on or order outer primary references right row rows
    select set table then to transaction trigger union unique update using values view when where
    with
"""
RESERVED = frozenset(KEYWORDS.split())
# What DuckDB, PostgreSQL or MySQL reserve besides, by their catalogs of keywords.
MORE_KEYWORDS = """
    analyse analyze any array asymmetric at_time_zone authorization binary both call cast change
    char character collation columns concurrently condition constraint continue convert
    current_catalog current_role current_schema current_user cursor database databases decimal
    declare deferrable describe div do double each explain fetch float for force freeze fulltext
    function generated get grant grouping groups high_priority ignore ilike initially int integer
    interval isnull keys kill lambda lateral leading leave lines load localtime localtimestamp lock
    long loop low_priority mod not_null notnull numeric only option optionally outfile over
    overlaps partition pivot pivot_longer pivot_wider placing position precision procedure purge
    qualify range rank read real recursive regexp release rename repeat replace require restrict
    return returning revoke rlike schema schemas separator session_user show similar smallint some
    spatial sql starting straight_join summarize symmetric system system_user tablesample
    terminated trailing trim true false undo unlock unpivot unsigned usage use user utc_date
    utc_time utc_timestamp varchar variadic varying verbose while window write xor year_month
    zerofill
"""
RESERVED_ELSEWHERE = RESERVED | frozenset(MORE_KEYWORDS.split())


def quote_identifier(name: str, dialect: Dialect = Dialect.SQLITE) -> str:
    """The name in quotes, whatever characters it contains: backticks in MySQL, else `"`."""
    quote = "`" if dialect is Dialect.MYSQL else '"'
    return quote + name.replace(quote, 2 * quote) + quote


def quote_if_needed(name: str, dialect: Dialect = Dialect.SQLITE) -> str:
    """The name as a person would write it: in quotes only if the dialect needs them.

    PostgreSQL reads names without quotes as lower case.
    """
    reserved = RESERVED if dialect is Dialect.SQLITE else RESERVED_ELSEWHERE
    is_plain = PLAIN.fullmatch(name) is not None and name.lower() not in reserved
    if dialect is Dialect.POSTGRES and name != name.lower():
        is_plain = False
    return name if is_plain else quote_identifier(name, dialect)


def quote_text(text: str, dialect: Dialect = Dialect.SQLITE) -> str:
    """A text as a literal of standard SQL; MySQL reads backslashes as escapes."""
    if dialect is Dialect.MYSQL:
        text = text.replace("\\", "\\\\")
    return "'" + text.replace("'", "''") + "'"


def quote_value(value: object) -> str:
    """A value that SQLite stores, as a literal: `NULL`, `1.5`, `'it''s'`, `x'00ff'`."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, int | float):
        return str(value).replace("inf", "9e999")
    return quote_text(str(value))
