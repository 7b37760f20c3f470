"""One file of rows from several: so many of each, shuffled.

    python scripts/prepare_mix.py --inputs a.jsonl b.jsonl --most 20000 --output mixed.jsonl

Rows are taken at random where a file has more than `--most`. The rows keep their own ids; what
occurs twice is refused.
"""

import random
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import Record, read_jsonl, write_jsonl
from slmsql.questions.question import Question
from slmsql.rows.data_card import Tally, write_card


@dataclass
class Options:
    inputs: list[str] = field(metadata={"help": "SFT or GRPO rows, JSON Lines"})
    output: str = field(metadata={"help": "JSON Lines to write"})
    most: int = field(default=0, metadata={"help": "rows of each file at most; 0: all"})
    seed: int = field(default=42, metadata={"help": "of the choice and the order"})


def main() -> None:
    options = parse(Options, about=__doc__)
    chance = random.Random(options.seed)
    tally = Tally()
    mixed: list[Record] = []
    for file in options.inputs:
        found = list(read_jsonl(Path(file)))
        if not found:
            raise InputError(f"{file}: no rows in it")
        kept = chance.sample(found, options.most) if 0 < options.most < len(found) else found
        tally.left_out[f"beyond the most of {file}"] += len(found) - len(kept)
        mixed += kept
    _refuse_doubles(mixed)
    chance.shuffle(mixed)
    for row in mixed:
        tally.add(_question(row), row)
    output = Path(options.output)
    write_jsonl(output, mixed)
    inputs = [Path(file) for file in options.inputs]
    card = write_card(output, tally, arguments=asdict(options), inputs=inputs)
    print(f"{output}: {len(mixed)} rows; see {card}")


def _refuse_doubles(rows: list[Record]) -> None:
    counts = Counter((row.get("source"), row.get("id")) for row in rows)
    (source, identity), count = counts.most_common(1)[0]
    if count > 1:
        raise InputError(f"the row {identity!r} of {source!r} is there {count} times")


def _question(row: Record) -> Question:
    """As much of a question as the card counts."""
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
