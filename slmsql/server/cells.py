"""Values of a result as JSON and a terminal can show them."""

import math
from collections.abc import Hashable

CELL = 1000  # longest text of a value that is sent, in characters
EXACT = 2**53  # larger integers are not exact in JavaScript

Cell = str | int | float | None


def cell(value: Hashable) -> Cell:
    """A value as JSON and JavaScript can hold it; as readable text if they cannot."""
    if isinstance(value, bytes):
        return f"blob of {len(value)} bytes"
    if isinstance(value, str):
        clean = value.encode("utf-8", "replace").decode()  # lone surrogates are not valid in JSON
        return clean if len(clean) <= CELL else clean[:CELL] + "…"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) > EXACT:
        return str(value)
    return value if isinstance(value, int | float) else None
