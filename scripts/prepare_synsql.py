"""Think-style SFT rows from SynSQL-2.5M.

    python scripts/prepare_synsql.py --data SYNSQL/data.json --databases SYNSQL/databases \\
        --tokenizer Qwen/Qwen2.5-Coder-1.5B-Instruct --output think.jsonl

Filters are those of SynSQL-Think (no SELECT, comments, SQL repeated in the reasoning, length; what
follows the final SQL is cut), and ours: SQL that does not run, duplicates. Each is counted in
OUTPUT.card.json. A call that was interrupted continues where it was.

Where the databases were not downloaded, `--ddl SYNSQL/tables.json` creates them without rows.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import Record
from slmsql.prompt.build import PromptSettings, read_template
from slmsql.prompt.tokens import count_tokens
from slmsql.questions.ddl import create_missing
from slmsql.questions.synsql import Reason, SynRecord, fingerprint, read_synsql
from slmsql.rows.data_card import Tally, write_card
from slmsql.rows.parts import Parts
from slmsql.rows.think import ThinkRows

CHUNK = 1000  # records of a part; part of the parts' meaning, so no option


@dataclass
class Options:
    data: str = field(metadata={"help": "SynSQL's data.json"})
    databases: str = field(metadata={"help": "folder of <db_id>/<db_id>.sqlite"})
    output: str = field(metadata={"help": "JSON Lines to write"})
    ddl: str = field(default="", metadata={"help": "tables.json: create missing databases"})
    template: str = field(default="think", metadata={"help": "prompt template, name or path"})
    sample_values: int = field(default=2, metadata={"help": "values shown of each column"})
    retrieve_values: bool = field(
        default=False, metadata={"help": "search values for the question"}
    )
    schema_tokens: int = field(default=0, metadata={"help": "budget of the schema; 0: none"})
    thinning: bool = field(default=False, metadata={"help": "show a random part of each schema"})
    tokenizer: str = field(default="", metadata={"help": "counts tokens; without: an estimate"})
    max_tokens: int = field(default=7000, metadata={"help": "longest row; 0: any"})
    share: float = field(default=1.0, metadata={"help": "random share of the records to take"})
    limit: int = field(default=0, metadata={"help": "read at most so many records; 0: all"})
    seed: int = field(default=42, metadata={"help": "of share and thinning"})
    workers: int = field(default=0, metadata={"help": "processes; 0: one for each processor"})

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")


def main() -> None:
    options = parse(Options, about=__doc__)
    build = _builder(options)
    output, data = Path(options.output), Path(options.data)
    settings = {**_deciding(options), "input": fingerprint(data), "chunk": CHUNK}
    aside: Counter[str] = Counter()
    records = islice(read_synsql(data), options.limit or None)
    parts = Parts(output, settings)
    chunks = chunked(distinct(sampled(records, options, aside), aside))
    workers = options.workers or len(os.sched_getaffinity(0))
    tally = parts.build(chunks, build, workers, Progress(aside))
    tally.left_out.update(aside)
    if not tally.rows:
        raise InputError(f"no record became a row; left out: {tally.reasons()}")
    parts.join()
    card = write_card(
        output,
        tally,
        arguments=_deciding(options),
        inputs=[data],
        tokenizer=options.tokenizer,
    )
    print(f"{output}: {tally.rows} rows; left out: {tally.reasons()}; see {card}")


def _builder(options: Options) -> ThinkRows:
    """Check what can be checked before hours of work."""
    databases = Path(options.databases)
    if options.ddl:
        created, broken = create_missing(Path(options.ddl), databases)
        print(
            f"{created} databases created, {len(broken)} could not be", *list(broken.values())[:3]
        )
    if not databases.is_dir():
        raise FileNotFoundError(f"{databases} is no folder; --ddl tables.json creates databases")
    read_template(options.template)
    if options.tokenizer:
        count_tokens([{"role": "user", "content": ""}], options.tokenizer)
    prompt_settings = PromptSettings(
        options.template, options.sample_values, options.retrieve_values, options.schema_tokens
    )
    return ThinkRows(
        databases,
        prompt_settings,
        options.tokenizer,
        options.max_tokens,
        options.thinning,
        options.seed,
    )


def _deciding(options: Options) -> Record:
    """The options that decide the rows."""
    aside = ("workers", "output")
    return {name: value for name, value in asdict(options).items() if name not in aside}


def sampled(
    records: Iterable[SynRecord | None], options: Options, aside: Counter[str]
) -> Iterator[SynRecord | None]:
    """A random share of the records, the same for the same seed."""
    chance = random.Random(options.seed)
    for record in records:
        if options.share == 1 or chance.random() < options.share:
            yield record
        else:
            aside["not in the share"] += 1


def distinct(records: Iterable[SynRecord | None], aside: Counter[str]) -> Iterator[SynRecord]:
    """Well-formed records, each question over a database with its SQL once."""
    seen: set[int] = set()  # 2.5 million hashes take about 250 MB
    for record in records:
        if record is None:
            aside[Reason.MALFORMED] += 1
        elif (identity := record.identity()) in seen:
            aside[Reason.DUPLICATE] += 1
        else:
            seen.add(identity)
            yield record


def chunked(records: Iterator[SynRecord]) -> Iterator[list[SynRecord]]:
    while chunk := list(islice(records, CHUNK)):
        yield chunk


class Progress:
    """A line on standard error, at most once in ten seconds."""

    def __init__(self, aside: Counter[str]) -> None:
        self.aside = aside
        self.start = self.shown = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self.shown >= 10:
            self.shown = now
            done = tally.rows + sum(tally.left_out.values()) + sum(self.aside.values())
            rate = done / (now - self.start)
            print(f"{done} records, {tally.rows} rows, {rate:.0f} records/s", file=sys.stderr)


if __name__ == "__main__":
    run_program(main)
