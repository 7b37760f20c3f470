"""Quoting of names in SQL: always, or only if SQLite needs it (`name`, `"first name"`)."""

import re

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


def quote_identifier(name: str) -> str:
    """The name in double quotes, whatever characters it contains."""
    return '"' + name.replace('"', '""') + '"'


def quote_if_needed(name: str) -> str:
    """The name as a person would write it: in double quotes only if SQLite needs them."""
    is_plain = PLAIN.fullmatch(name) is not None and name.lower() not in RESERVED
    return name if is_plain else quote_identifier(name)
