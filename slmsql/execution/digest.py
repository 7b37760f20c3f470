"""A short name for a set of rows, the same wherever `bird` calls two sets equal."""

import hashlib
from collections.abc import Hashable, Set

Row = tuple[Hashable, ...]


def digest(rows: Set[Row]) -> str:
    """16 bytes in hex; 1 and 1.0 are one value, text and blobs are not."""
    lines = sorted(map(_line, rows))
    return hashlib.blake2b("\n".join(lines).encode("ascii"), digest_size=16).hexdigest()


def _line(row: Row) -> str:
    # ascii() tells the types apart, escapes line ends and gives each float its own digits.
    for value in row:
        if type(value) is float:
            return ascii(tuple(map(_whole, row)))
    return ascii(row)


def _whole(value: Hashable) -> Hashable:
    return int(value) if type(value) is float and value.is_integer() else value
