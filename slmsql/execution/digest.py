"""Hashes of results: equal if a match mode calls the results equal, so that a vote can group them.

In mode `bird` the converse holds, too. In the others a hash does not know which result is the gold:
`spider` and `strict` compare the order of rows if the gold query sorts them, the hashes never do.
`digest_in` lists what else is approximate.
"""

import hashlib
from collections.abc import Hashable, Iterable, Sequence, Set

from slmsql.match import Match

Row = tuple[Hashable, ...]
DIGITS = 9  # decimals of a float's mantissa that count in mode `strict`


def digest(rows: Set[Row]) -> str:
    """16 bytes in hex. 1 and 1.0 count as equal; text and blobs do not."""
    # ascii() distinguishes the types, escapes line ends and writes all digits of a float.
    lines = sorted(
        [ascii(tuple(map(_whole, row)) if float in map(type, row) else row) for row in rows]
    )
    return _hash(lines)


def digest_in(match: Match, rows: Sequence[Row], width: int) -> str:
    """A hash of a result in mode `spider` or `strict`; 16 bytes in hex.

    `spider` counts repeated rows, and columns may stand in any order. Different results share a
    hash if each column has the same values in rows of the same values; that hardly ever happens.
    `strict` counts repeated rows, and floats count up to 10 digits: floats nearer than 1e-9 may
    differ in the last of them.

    Args:
        match: the mode.
        rows: all rows of the result.
        width: number of its columns.
    """
    if match is Match.STRICT:
        return _hash([str(width), *sorted(ascii(tuple(map(_rounded, row))) for row in rows)])
    texts = [[ascii(_whole(value)) for value in row] for row in rows]
    bags = [_hash(sorted(row)) for row in texts]
    columns = [
        _hash(sorted(f"{value} {bag}" for value, bag in zip(column, bags, strict=True)))
        for column in zip(*texts, strict=True)
    ]
    return _hash([str(len(rows)), *sorted(columns)])


def _hash(lines: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode("ascii"), digest_size=16).hexdigest()


def _rounded(value: Hashable) -> Hashable:
    return _whole(float(f"{value:.{DIGITS}e}")) if type(value) is float else value


def _whole(value: Hashable) -> Hashable:
    return int(value) if type(value) is float and value.is_integer() else value
