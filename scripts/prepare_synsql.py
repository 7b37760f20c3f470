"""Make SFT rows with reasoning from SynSQL-2.5M.

    python scripts/prepare_synsql.py --data data/synsql/data.json \\
        --databases data/synsql/databases --output think.jsonl

Records are filtered as for SynSQL-Think: SQL without SELECT, SQL with comments, SQL repeated in the
reasoning, and rows over --max_tokens are left out, and text after the final SQL is cut. We also
leave out SQL that does not run and duplicates. OUTPUT.card.json counts each reason. The same
command resumes an interrupted run.

If you have not downloaded the databases, --ddl tables.json creates them without rows.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import PromptOptions, card_arguments
from slmsql.errors import InputError, run_program
from slmsql.prompt.build import read_template
from slmsql.prompt.tokens import count_tokens
from slmsql.questions.ddl import create_missing
from slmsql.questions.synsql import Reason, SynRecord, fingerprint, read_synsql
from slmsql.rows.data_card import Tally, write_card
from slmsql.rows.parts import Parts
from slmsql.rows.think import ThinkRows
from slmsql.training.model_check import check_model

CHUNK = 1000  # records in a part; another number would not fit the parts on disk


@dataclass(kw_only=True)
class Options(PromptOptions):
    data: str = field(metadata={"help": "SynSQL's data.json"})
    databases: str = field(metadata={"help": "folder of <db_id>/<db_id>.sqlite"})
    output: str = field(metadata={"help": "JSON Lines file to write"})
    ddl: str = field(
        default="", metadata={"help": "tables.json, to create the databases that are missing"}
    )
    thinning: bool = field(
        default=False, metadata={"help": "show only a random part of each schema"}
    )
    tokenizer: str = field(
        default="",
        metadata={"help": "tokenizer that counts tokens, a folder or a hub name; empty: estimate"},
    )
    max_tokens: int = field(default=7000, metadata={"help": "tokens of the longest row; 0: any"})
    share: float = field(default=1.0, metadata={"help": "random share of the records to use"})
    limit: int = field(default=0, metadata={"help": "read only the first N records; 0: all"})
    seed: int = field(default=42, metadata={"help": "decides --share and --thinning"})
    workers: int = field(default=0, metadata={"help": "number of processes; 0: one per processor"})

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")


def main() -> None:
    options = parse(Options, about=__doc__)
    build = row_builder(options)
    output, data = Path(options.output), Path(options.data)
    arguments = card_arguments(options)
    parts = Parts(output, {**arguments, "input": fingerprint(data), "chunk": CHUNK})
    skipped: Counter[str] = Counter()
    records = islice(read_synsql(data), options.limit or None)
    chunks = chunked(distinct(sampled(records, options, skipped), skipped))
    workers = options.workers or len(os.sched_getaffinity(0))
    tally = parts.build(chunks, build, workers, Progress(skipped))
    tally.left_out.update(skipped)
    if not tally.rows:
        raise InputError(f"no record became a row; left out: {tally.reasons()}")
    parts.join()
    write_card(output, tally, arguments=arguments, inputs=[data], tokenizer=options.tokenizer)


def row_builder(options: Options) -> ThinkRows:
    """Return the builder of rows, once everything that could fail hours later is checked."""
    databases = Path(options.databases)
    if options.ddl:
        created, broken = create_missing(Path(options.ddl), databases)
        print(f"created {created} databases; {len(broken)} failed", *list(broken.values())[:3])
    if not databases.is_dir():
        raise FileNotFoundError(
            f"{databases} is not a folder; --ddl tables.json creates the databases"
        )
    read_template(options.template)
    if options.tokenizer:
        check_model(options.tokenizer, file="tokenizer.json")
        count_tokens([{"role": "user", "content": ""}], options.tokenizer)
    return ThinkRows(
        databases,
        options.prompt_settings,
        options.tokenizer,
        options.max_tokens,
        options.thinning,
        options.seed,
    )


def sampled(
    records: Iterable[SynRecord | None], options: Options, skipped: Counter[str]
) -> Iterator[SynRecord | None]:
    """Yield a random share of the records, always the same for the same seed."""
    chance = random.Random(options.seed)
    for record in records:
        if options.share == 1 or chance.random() < options.share:
            yield record
        else:
            skipped["not in the share"] += 1


def distinct(records: Iterable[SynRecord | None], skipped: Counter[str]) -> Iterator[SynRecord]:
    """Yield well-formed records without duplicates (same database, question and SQL)."""
    seen: set[int] = set()  # 2.5 million hashes take about 250 MB
    for record in records:
        if record is None:
            skipped[Reason.MALFORMED] += 1
        elif (identity := record.identity()) in seen:
            skipped[Reason.DUPLICATE] += 1
        else:
            seen.add(identity)
            yield record


def chunked(records: Iterator[SynRecord]) -> Iterator[list[SynRecord]]:
    while chunk := list(islice(records, CHUNK)):
        yield chunk


class Progress:
    """Prints a line of progress to standard error, at most once in ten seconds."""

    def __init__(self, skipped: Counter[str]) -> None:
        self.skipped = skipped
        self.start = self.shown = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self.shown >= 10:
            self.shown = now
            done = tally.rows + sum(tally.left_out.values()) + sum(self.skipped.values())
            rate = done / (now - self.start)
            print(f"{done} records, {tally.rows} rows, {rate:.0f} records/s", file=sys.stderr)


if __name__ == "__main__":
    run_program(main)
