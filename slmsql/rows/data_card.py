"""Write rows with their data card, which says what the file contains and what it was made from.

    tally = Tally()
    write_rows(output, rows, tally, arguments=options.deciding(), inputs=options.files())

`rows.jsonl` gets the card `rows.jsonl.card.json`.
"""

import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from slmsql.files import Record, file_hash, write_json, write_jsonl
from slmsql.questions.question import Question
from slmsql.questions.words import estimate_tokens

PERCENTILES = (0, 5, 25, 50, 75, 95, 99, 100)
PACKAGES = ("slmsql", "sqlglot", "ijson", "tokenizers")


@dataclass(slots=True)
class Tally:
    """Counts of the rows written and of the questions left out, by reason."""

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    difficulties: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, question: Question, row: Record, tokens: int | None = None) -> None:
        """Count a row.

        Args:
            tokens: length of prompt and completion as counted by a tokenizer; None: an estimate.
        """
        self.rows += 1
        self.sources[question.source or "unknown"] += 1
        self.difficulties[question.difficulty or "unknown"] += 1
        self.lengths[row_tokens(row) if tokens is None else tokens] += 1
        if row.get("columns_left_out"):
            self.notes["schema cut to its budget"] += 1

    def merge(self, other: "Tally") -> None:
        """Add the counts of another tally to this one."""
        self.rows += other.rows
        self.left_out.update(other.left_out)
        self.notes.update(other.notes)
        self.sources.update(other.sources)
        self.difficulties.update(other.difficulties)
        self.lengths.update(other.lengths)

    def reasons(self) -> str:
        """Return the counts of `left_out` as text, such as "3 no database, 1 gold: error"."""
        counts = _by_count(self.left_out)
        return ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "none"

    def as_record(self) -> Record:
        """Return the tally as a JSON object; `from_record` reads it back."""
        # `asdict` is wrong here: it rebuilds a Counter from pairs and so counts the pairs.
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
        """Rebuild a tally from the JSON of `as_record`, where the lengths have become text."""
        return cls(
            record["rows"],
            Counter(record["left_out"]),
            Counter(record["notes"]),
            Counter(record["sources"]),
            Counter(record["difficulties"]),
            Counter({int(length): count for length, count in record["lengths"].items()}),
        )


def row_tokens(row: Record) -> int:
    """Estimate the tokens of a row's prompt and completion together."""
    messages = [*row["prompt"], *row.get("completion", ())]
    return sum(estimate_tokens(message["content"]) for message in messages)


def write_rows(
    output: Path,
    rows: Iterable[tuple[Question, Record]],
    tally: Tally,
    *,
    arguments: Mapping[str, object],
    inputs: Sequence[Path],
    overlap: Mapping[str, object] | None = None,
) -> None:
    """Write rows as JSON Lines and their card beside them, and print what was written.

    Args:
        rows: each row with the question that it was made from.
        tally: counts the rows as they are written; what was left out is already in it.
        arguments: the options of the program that decide the rows.
        inputs: the files that the rows were made from.
        overlap: what the rows share with evaluation sets, by the name of the set's file.
    """

    def counted() -> Iterator[Record]:
        for question, row in rows:
            tally.add(question, row)
            yield row

    write_jsonl(output, counted())
    write_card(output, tally, arguments=arguments, inputs=inputs, overlap=overlap)


def write_card(
    output: Path,
    tally: Tally,
    *,
    arguments: Mapping[str, object],
    inputs: Sequence[Path],
    tokenizer: str = "",
    overlap: Mapping[str, object] | None = None,
) -> None:
    """Write `OUTPUT.card.json` for rows that are already on disk, and print a summary.

    Hashes cover the whole content of a file. The other arguments are those of `write_rows`.

    Args:
        tokenizer: the tokenizer that counted the tokens; empty if they are an estimate.
    """
    path = output.with_name(f"{output.name}.card.json")
    card = {
        "output": {"file": output.name, "rows": tally.rows, "hash": file_hash(output)},
        "left_out": _by_count(tally.left_out),
        "notes": _by_count(tally.notes),
        "by_source": _by_count(tally.sources),
        "by_difficulty": _by_count(tally.difficulties),
        "tokens": {"counted_by": tokenizer or "estimate", **percentiles(tally.lengths)},
        "overlap": dict(overlap or {}),
        "program": Path(sys.argv[0]).name,
        "arguments": dict(arguments),
        "inputs": {str(file): file_hash(file) for file in inputs if file.is_file()},
        "versions": versions(),
    }
    write_json(path, card)
    print(f"{output}: {tally.rows} rows; left out: {tally.reasons()}; see {path}")


def percentiles(lengths: Counter[int]) -> dict[str, int]:
    """Return the length in tokens at each of `PERCENTILES`, as `{"p50": 812, ...}`.

    Args:
        lengths: the number of rows of each length.
    """
    total = sum(lengths.values())
    figures: dict[str, int] = {}
    remaining = list(PERCENTILES)
    rows_so_far = 0
    for length in sorted(lengths):
        rows_so_far += lengths[length]
        while remaining and 100 * rows_so_far >= remaining[0] * total:
            figures[f"p{remaining.pop(0)}"] = length
    return figures


def versions() -> dict[str, str]:
    """Return the versions of the software that decides what rows look like."""
    installed = {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:  # an optional dependency
            continue
    return installed


def _by_count(counts: Counter[str]) -> dict[str, int]:
    """Return the counts, largest first, without zeros."""
    return {str(name): count for name, count in counts.most_common() if count}
