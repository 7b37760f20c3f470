"""Reasoning that comes with questions: `thought` in JSON Lines."""

from pathlib import Path

from slmsql.files import read_jsonl


def read_thoughts(file: Path) -> dict[str, str]:
    """The thought of each question by id, for those that have one."""
    if file.suffix != ".jsonl":
        return {}
    return {
        str(record.get("id")): record["thought"].strip()
        for record in read_jsonl(file)
        if isinstance(record.get("thought"), str) and record["thought"].strip()
    }
