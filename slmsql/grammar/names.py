"""The names of a database, and the aliases that models and people commonly give its tables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations, product
from string import ascii_letters, ascii_lowercase, digits

from slmsql.schema.model import Schema

PLAIN = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*")
# Words that an unquoted name cannot be. SQLite takes its other keywords as names where it can.
NEVER_NAMES = frozenset(
    [
        "add",
        "all",
        "alter",
        "and",
        "as",
        "autoincrement",
        "between",
        "case",
        "check",
        "collate",
        "commit",
        "constraint",
        "create",
        "cross",
        "current_date",
        "current_time",
        "current_timestamp",
        "default",
        "deferrable",
        "delete",
        "distinct",
        "drop",
        "else",
        "escape",
        "except",
        "exists",
        "foreign",
        "from",
        "full",
        "group",
        "having",
        "in",
        "index",
        "indexed",
        "inner",
        "insert",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "left",
        "limit",
        "natural",
        "not",
        "nothing",
        "notnull",
        "null",
        "on",
        "or",
        "order",
        "outer",
        "primary",
        "references",
        "returning",
        "right",
        "select",
        "set",
        "table",
        "then",
        "to",
        "transaction",
        "union",
        "unique",
        "update",
        "using",
        "values",
        "when",
        "where",
    ]
)
# Usual names of computed columns, and what such names begin or end with.
COMPUTED = frozenset(
    [
        "num",
        "cnt",
        "count",
        "total",
        "n",
        "c",
        "sum",
        "avg",
        "max",
        "min",
        "value",
        "result",
        "rank",
        "rn",
    ]
)
BEGINNINGS = ("max", "min", "avg", "average", "sum", "total", "count", "num")
ENDINGS = ("count", "rank", "total", "avg", "sum", "num")
MANY_NAMES = 1_000  # tables times columns; above it, fewer names of computed columns are thought of
SUBQUERIES = ("derived_table", "subquery")  # usual names of subqueries in FROM
MANY_CTES = 1_000  # whose aliases are kept
TWO_LETTERS = frozenset(map("".join, product(ascii_lowercase, repeat=2))) - NEVER_NAMES
THREE_LETTERS = frozenset(map("".join, product(ascii_lowercase, repeat=3))) - NEVER_NAMES
_LOWER = str.maketrans(ascii_letters, ascii_lowercase * 2)


def fold(name: str) -> str:
    """The name in the case in which SQLite compares names: only ASCII letters have cases."""
    return name.translate(_LOWER)


@cache
def is_plain(name: str) -> bool:
    """Whether SQLite reads the name as a name without quotes."""
    return PLAIN.fullmatch(name) is not None and fold(name) not in NEVER_NAMES


@dataclass(frozen=True, slots=True)
class Names:
    """The columns of each table in their order; all names are folded."""

    tables: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, schema: Schema) -> "Names":
        return cls(
            {
                fold(table.name): tuple(fold(column.name) for column in table.columns)
                for table in schema.tables
            }
        )

    def as_bytes(self) -> "Names":
        """The names as UTF-8, one character for each byte, as `lexemes` reads texts."""
        return Names(
            {_bytes(table): tuple(map(_bytes, columns)) for table, columns in self.tables.items()}
        )

    @property
    def columns(self) -> frozenset[str]:
        """The columns of all tables."""
        return frozenset(column for columns in self.tables.values() for column in columns)

    def alias_stems(self) -> frozenset[str]:
        """What aliases of the tables may be before their digit, besides single letters."""
        return frozenset().union(*map(stems_of, (*self.tables, *SUBQUERIES)))

    def aliases(self) -> frozenset[str]:
        """The aliases that may be written before FROM says what they stand for."""
        stems = self.alias_stems().union(ascii_lowercase)
        numbered = {f"{stem}{digit}" for stem in stems for digit in range(10)}
        short = [shortened(table, 3) for table in self.tables]
        return TWO_LETTERS.union(filter(is_plain, stems.union(numbered, *short)))

    def computed_names(self) -> frozenset[str]:
        """Usual names of computed columns, such as `avg_age` and `song_count`, that no table has.

        Before FROM, nobody knows whether a subquery in it will define them.
        """
        words = set(self.columns)
        tables = self.tables if len(self.tables) * len(self.columns) <= MANY_NAMES else ()
        for name in (*self.tables, *self.columns):
            words |= {name, name.removesuffix("s")}
            words |= {part.removesuffix("s") for part in name.split("_")} | {*name.split("_")}
            words |= {
                f"{table.removesuffix('s')}_{part}" for table in tables for part in name.split("_")
            }
        words.discard("")
        names = {f"{first}_{word}" for first in BEGINNINGS for word in words}
        names |= {f"{word}_{last}" for last in ENDINGS for word in words}
        return frozenset(names) - self.columns


def stems_of(table: str) -> frozenset[str]:
    """What aliases of a table may be before their digit, besides single letters.

    Any word would do for SQLite. But a column that a model invents looks like an alias until the
    dot is missing, so we allow the usual kinds before FROM says what they stand for: s, t1, st,
    sing2, hp, shop_1, shopAlias0.
    """
    parts = [part for part in re.split(r"[^a-z0-9]+", table) if part]
    stems = {part[:length] for part in parts for length in (2, 3, 4, 5, len(part))}
    stems |= {"".join(part[0] for part in parts), table, f"{table}_", f"{table}alias"}
    stems |= {table.removesuffix("s"), re.sub("ies$", "y", table)}
    return frozenset(stem for stem in stems if is_plain(stem))


def shortened(name: str, length: int) -> frozenset[str]:
    """The first letter of a name and others in their order, as in `scp` for StudentCoursePlan."""
    letters = [letter for letter in name if letter.isalnum()]
    rest = combinations(letters[1:], length - 1)
    return frozenset(word for some in rest if is_plain(word := letters[0] + "".join(some)))


@lru_cache(MANY_CTES)
def aliases_of_cte(name: str) -> frozenset[str]:
    """The aliases of a CTE that may be written before FROM names it, besides `THREE_LETTERS`.

    Names of CTEs are often long words in CamelCase, whose case has been folded.
    """
    base = name.rstrip(digits)
    stems = stems_of(name) | shortened(base, 2) | shortened(base, 3)
    numbered = {f"{stem}{digit}" for stem in stems for digit in (*range(10), name[len(base) :])}
    pairs = {f"{name[:3]}_{name[place : place + 3]}" for place in range(3, len(name) - 2)}
    return stems.union(numbered, shortened(base, 4), filter(is_plain, pairs))


def _bytes(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("latin-1")
