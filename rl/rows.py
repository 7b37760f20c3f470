"""What GRPO asks of its rows beyond what `slmsql/training/rows.py` checks."""

from collections.abc import Sequence
from pathlib import Path

from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.prompt.answer import TAGS
from slmsql.prompt.build import Layout


def check_layout(rows: Sequence[Record], path: Path) -> None:
    """Check that every prompt asks for the layout that the format reward pays for.

    Rows from elsewhere may not name their layout; their prompt must then contain the tags.

    Raises:
        InputError: a prompt asks for another layout.
    """
    for row in rows:
        text = "\n".join(message["content"] for message in row["prompt"])
        layout = row.get("layout") or (
            Layout.THINK if all(tag in text for tag in TAGS) else "other"
        )
        if layout != Layout.THINK:
            raise InputError(
                f"{path}, {row['id']}: its prompt asks for the layout '{layout}', with which the "
                "format reward can never be earned; prepare the rows with a template of the "
                f"'{Layout.THINK}' layout, or leave `format` out of --rewards"
            )


def pass_rates(rows: Sequence[Record]) -> dict[str, float]:
    """The pass rates by id, of the rows that have one."""
    return {row["id"]: row["pass_rate"] for row in rows if "pass_rate" in row}
