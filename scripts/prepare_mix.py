"""Join several files of rows into one, shuffled, with at most N rows of each.

    python scripts/prepare_mix.py --inputs a.jsonl b.jsonl --most 20000 --output mixed.jsonl

If a file has more than --most rows, a random sample of them is taken. Rows keep their ids; an id
that occurs twice in the same source is an error.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import card_arguments
from slmsql.errors import InputError, run_program
from slmsql.files import Record, read_jsonl
from slmsql.questions.question import Question
from slmsql.rows.data_card import Tally, write_rows


@dataclass
class Options:
    inputs: list[str] = field(metadata={"help": "files of SFT or GRPO rows, JSON Lines"})
    output: str = field(metadata={"help": "JSON Lines file to write"})
    most: int = field(default=0, metadata={"help": "rows taken from each file at most; 0: all"})
    seed: int = field(default=42, metadata={"help": "decides the sample and the order"})


def main() -> None:
    options = parse(Options, about=__doc__)
    chance = random.Random(options.seed)
    tally = Tally()
    mixed: list[Record] = []
    for file in options.inputs:
        rows = list(read_jsonl(Path(file)))
        if not rows:
            raise InputError(f"{file}: the file has no rows")
        sample = chance.sample(rows, options.most) if 0 < options.most < len(rows) else rows
        tally.left_out[f"beyond the most of {file}"] += len(rows) - len(sample)
        mixed += sample
    refuse_duplicates(mixed)
    chance.shuffle(mixed)
    write_rows(
        Path(options.output),
        ((question_of(row), row) for row in mixed),
        tally,
        arguments=card_arguments(options),
        inputs=[Path(file) for file in options.inputs],
    )


def refuse_duplicates(rows: list[Record]) -> None:
    """Raise InputError if two rows have the same source and id."""
    counts = Counter((row.get("source"), row.get("id")) for row in rows)
    (source, identity), count = counts.most_common(1)[0]
    if count > 1:
        raise InputError(f"the inputs have {count} rows with the id {identity!r} of {source!r}")


def question_of(row: Record) -> Question:
    """Return the parts of a row's question that the data card counts."""
    return Question(
        id=str(row.get("id")),
        text="",
        db_id=str(row.get("db_id")),
        database=Path(str(row.get("database"))),
        difficulty=str(row.get("difficulty") or ""),
        source=str(row.get("source") or ""),
    )


if __name__ == "__main__":
    run_program(main)
