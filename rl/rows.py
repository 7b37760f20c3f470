"""What GRPO asks of its rows beyond what `slmsql/training/rows.py` checks."""

from collections.abc import Sequence
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution.engines.address import dialect_of
from slmsql.files import Record
from slmsql.prompt.answer import TAGS
from slmsql.prompt.build import Layout
from slmsql.sql.dialect import Dialect


def check_layout(rows: Sequence[Record], path: Path) -> None:
    """Check that every prompt asks for the layout that the format reward pays for.

    Rows from elsewhere may not name their layout; their prompt must then contain the tags.

    Raises:
        InputError: a prompt asks for another layout.
    """
    for row in rows:
        layout = layout_of(row)
        if layout != Layout.THINK:
            raise InputError(
                f"{path}, {row['id']}: its prompt asks for the layout '{layout}', with which the "
                "format reward can never be earned; prepare the rows with a template of the "
                f"'{Layout.THINK}' layout, or leave `format` out of --rewards"
            )


def check_dialect(rows: Sequence[Record], path: Path) -> None:
    """Check that every database is one whose names completions can be constrained to.

    Raises:
        InputError: a database is not SQLite.
    """
    for row in rows:
        if dialect_of(Path(row["database"])) is not Dialect.SQLITE:
            raise InputError(
                f"{path}, {row['id']}: --constrain schema needs SQLite databases, and "
                f"{row['database']} is not one; leave out the row, or --constrain"
            )


def layout_of(row: Record) -> str:
    """The layout that a row names, or else the one that its prompt asks for by naming the tags."""
    text = "\n".join(message["content"] for message in row["prompt"])
    asked = Layout.THINK if all(tag in text for tag in TAGS) else Layout.SQL
    return str(row.get("layout") or asked)


def pass_rates(rows: Sequence[Record]) -> dict[str, float]:
    """The pass rates by id, of the rows that have one."""
    return {row["id"]: row["pass_rate"] for row in rows if "pass_rate" in row}
