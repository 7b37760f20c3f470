"""A short name for a set of rows, the same wherever `bird` calls two sets equal."""

import hashlib
from collections.abc import Hashable, Set

Row = tuple[Hashable, ...]


def digest(rows: Set[Row]) -> str:
    """16 bytes in hex; 1 and 1.0 are one value, text and blobs are not."""
    # ascii() tells the types apart, escapes line ends and gives each float its own digits.
    lines = sorted(
        [ascii(tuple(map(_whole, row)) if float in map(type, row) else row) for row in rows]
    )
    return hashlib.blake2b("\n".join(lines).encode("ascii"), digest_size=16).hexdigest()


def _whole(value: Hashable) -> Hashable:
    return int(value) if type(value) is float and value.is_integer() else value
