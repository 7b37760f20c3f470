"""A hash of a set of rows: equal exactly if match mode `bird` calls the sets equal."""

import hashlib
from collections.abc import Hashable, Set

Row = tuple[Hashable, ...]


def digest(rows: Set[Row]) -> str:
    """16 bytes in hex. 1 and 1.0 count as equal; text and blobs do not."""
    # ascii() distinguishes the types, escapes line ends and writes all digits of a float.
    lines = sorted(
        [ascii(tuple(map(_whole, row)) if float in map(type, row) else row) for row in rows]
    )
    return hashlib.blake2b("\n".join(lines).encode("ascii"), digest_size=16).hexdigest()


def _whole(value: Hashable) -> Hashable:
    return int(value) if type(value) is float and value.is_integer() else value
