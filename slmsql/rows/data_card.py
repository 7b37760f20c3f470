"""The data card beside a data set: what is in it, what was left out, and from what it was made."""

import sqlite3
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from slmsql.files import Record, file_hash, write_json
from slmsql.questions.question import Question
from slmsql.words import estimate_tokens

PERCENTILES = (0, 5, 25, 50, 75, 95, 99, 100)
PACKAGES = ("slmsql", "sqlglot", "ijson", "tokenizers")


@dataclass(slots=True)
class Tally:
    """Counts of the rows written and of what was left out; tallies of parts add up."""

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    difficulties: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, question: Question, row: Record, tokens: int | None = None) -> None:
        """Count a row; `tokens` is its length where a tokenizer was given, else an estimate."""
        self.rows += 1
        self.sources[question.source or "unknown"] += 1
        self.difficulties[question.difficulty or "unknown"] += 1
        self.lengths[row_tokens(row) if tokens is None else tokens] += 1
        if row.get("columns_left_out"):
            self.notes["schema cut to its budget"] += 1

    def merge(self, other: "Tally") -> None:
        self.rows += other.rows
        self.left_out.update(other.left_out)
        self.notes.update(other.notes)
        self.sources.update(other.sources)
        self.difficulties.update(other.difficulties)
        self.lengths.update(other.lengths)

    def reasons(self) -> str:
        """What was left out, in words."""
        return ", ".join(f"{n} {reason}" for reason, n in _sorted(self.left_out).items()) or "none"

    def as_record(self) -> Record:
        # Not `asdict`: it rebuilds a Counter from pairs, which counts the pairs.
        return {
            "rows": self.rows,
            "left_out": dict(self.left_out),
            "notes": dict(self.notes),
            "sources": dict(self.sources),
            "difficulties": dict(self.difficulties),
            "lengths": dict(self.lengths),
        }

    @classmethod
    def from_record(cls, record: Record) -> "Tally":
        """The tally that `as_record` gave; JSON has made the lengths text."""
        return cls(
            record["rows"],
            Counter(record["left_out"]),
            Counter(record["notes"]),
            Counter(record["sources"]),
            Counter(record["difficulties"]),
            Counter({int(length): count for length, count in record["lengths"].items()}),
        )


def row_tokens(row: Record) -> int:
    """Estimated tokens of a row's prompt and completion together."""
    messages = [*row["prompt"], *row.get("completion", ())]
    return sum(estimate_tokens(message["content"]) for message in messages)


def write_card(
    output: Path,
    tally: Tally,
    *,
    arguments: Mapping[str, object],
    inputs: Sequence[Path],
    tokenizer: str = "",
    overlap: Mapping[str, object] | None = None,
) -> Path:
    """Write `OUTPUT.card.json`; returns its path. Hashes are of the files' whole content.

    Args:
        tokenizer: what counted the tokens; empty if they are an estimate.
        overlap: what the rows have in common with evaluation sets, by their files.
    """
    path = output.with_name(f"{output.name}.card.json")
    card = {
        "output": {"file": output.name, "rows": tally.rows, "hash": file_hash(output)},
        "left_out": _sorted(tally.left_out),
        "notes": _sorted(tally.notes),
        "by_source": _sorted(tally.sources),
        "by_difficulty": _sorted(tally.difficulties),
        "tokens": {"counted_by": tokenizer or "estimate", **percentiles(tally.lengths)},
        "overlap": dict(overlap or {}),
        "program": Path(sys.argv[0]).name,
        "arguments": dict(arguments),
        "inputs": {str(file): file_hash(file) for file in inputs if file.is_file()},
        "versions": versions(),
    }
    write_json(path, card)
    return path


def percentiles(lengths: Counter[int]) -> dict[str, int]:
    """Length at each of `PERCENTILES`."""
    total = sum(lengths.values())
    found: dict[str, int] = {}
    below = 0
    wanted = list(PERCENTILES)
    for length in sorted(lengths):
        below += lengths[length]
        while wanted and 100 * below >= wanted[0] * total:
            found[f"p{wanted.pop(0)}"] = length
    return found


def versions() -> dict[str, str]:
    """Versions of what decides the rows."""
    found = {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    return found


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {str(name): count for name, count in counts.most_common() if count}
