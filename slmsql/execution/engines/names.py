"""Names that a statement must not contain: functions with side effects, and catalog tables.

Each engine lists both in its catalog. The text is searched and not parsed: a name in a literal is
refused, too, and no trick with quotes or comments hides one. All these names are ASCII. Any other
character counts as a space, because DuckDB reads some of them so.
"""

import re
from dataclasses import dataclass

WORD = re.compile(r"[a-z_][a-z_0-9$]*")
CALLED = re.compile(rf'({WORD.pattern})["`]?[\s\x80-\U0010ffff]*\(')


@dataclass(frozen=True, slots=True)
class ForbiddenNames:
    """Names in lower case."""

    functions: frozenset[str]
    """Refused where they are called, and anywhere in a statement with comments."""
    tables: frozenset[str]
    """Refused anywhere."""

    def found(self, sql: str) -> tuple[str, str] | None:
        """A forbidden name in a statement, and why it is refused; None if there is none."""
        text = sql.lower()
        words = set(WORD.findall(text))
        if tables := words & self.tables:
            return min(tables), "schema table"
        has_comment = "--" in text or "/*" in text or "#" in text
        called = words if has_comment else set(CALLED.findall(text))
        if functions := called & self.functions:
            return min(functions), "forbidden function"
        return None


def mentions(sql: str, names: frozenset[str]) -> bool:
    """Whether a statement contains one of the names, perhaps only in a literal."""
    return not names.isdisjoint(WORD.findall(sql.lower()))
