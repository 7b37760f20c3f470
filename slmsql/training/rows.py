"""Training rows: read and checked before a model is loaded.

A row for SFT, and one for GRPO. Both programs validate on rows of the second kind:

    {"prompt": [{"role": "user", "content": ...}], "completion": [{"role": "assistant", ...}]}
    {"id": ..., "prompt": [{"role": "user", "content": ...}], "gold_sql": ..., "database": ...}

A GRPO row may also have a `pass_rate`: the share of earlier samples that were correct
(scripts/prepare_rl.py --candidates).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.execution import Executor, Pair, fingerprint
from slmsql.files import Record, read_jsonl
from slmsql.match import Match

TEXT_FIELDS = ("id", "gold_sql", "database")
TRAINER_FIELDS = (*TEXT_FIELDS, "prompt")
OPTIONAL_FIELDS = ("fingerprint", "layout", "pass_rate")


@dataclass(frozen=True, slots=True)
class RunnableRows:
    """The rows whose gold query runs, and why the others were left out."""

    rows: list[Record]
    left_out: Counter[str]

    def summary(self) -> str:
        reasons = "; ".join(f"{count} {reason}" for reason, count in self.left_out.most_common())
        return f"{len(self.rows)} rows; left out: {reasons or 'none'}"


def read_sft_rows(path: Path) -> Iterator[Record]:
    """Yield `prompt` (messages) and `completion` (text) of each row; other keys are dropped.

    Raises:
        InputError: a row is malformed or the file has no rows. The message names file and row.
    """
    number = 0
    for number, record in enumerate(read_jsonl(path), start=1):
        position = f"{path}, row {number}"
        prompt = _messages(record, "prompt", position)
        completion = _messages(record, "completion", position)
        if [message["role"] for message in completion] != ["assistant"]:
            raise InputError(f"{position}: completion must be one message of the assistant")
        yield {"prompt": prompt, "completion": completion[0]["content"]}
    if not number:
        raise InputError(
            f"{path} is empty; scripts/prepare_sft.py and scripts/prepare_synsql.py make such rows"
        )


def count_sft_rows(path: Path) -> int:
    """Check every row of a file and count them."""
    return sum(1 for _ in read_sft_rows(path))


def read_grpo_rows(path: Path) -> list[Record]:
    """Read rows with a gold query; keys that training does not use are dropped.

    Raises:
        InputError: a row is malformed, an id occurs twice, or the file has no rows. The message
            names file and row.
    """
    rows: dict[str, Record] = {}
    for number, record in enumerate(read_jsonl(path), start=1):
        position = f"{path}, row {number}"
        row = _grpo_row(record, position)
        if row["id"] in rows:
            raise InputError(f"{position}: the id {row['id']!r} occurs twice")
        rows[row["id"]] = row
    if not rows:
        raise InputError(f"{path} is empty; scripts/prepare_rl.py makes such rows")
    return list(rows.values())


def runnable_rows(rows: Sequence[Record], executor: Executor, match: Match) -> RunnableRows:
    """Keep the rows whose gold query runs; no answer to the others can be judged.

    Raises:
        FileNotFoundError: a database is missing.
        InputError: a file is not a database, a database has changed since the rows were prepared,
            or no gold query runs.
    """
    _check_fingerprints(rows)
    pairs = [Pair(Path(row["database"]), row["gold_sql"], row["gold_sql"]) for row in rows]
    runnable, left_out = [], Counter[str]()
    for row, verdict in zip(rows, executor.judge(pairs, match=match), strict=True):
        if verdict.gold.ok:
            runnable.append({name: row[name] for name in TRAINER_FIELDS})
        else:
            left_out[f"gold {verdict.gold.status} ({verdict.gold.error})"[:100]] += 1
    if not runnable:
        raise InputError(f"no gold query of {len(rows)} rows runs: {dict(left_out)}")
    return RunnableRows(runnable, left_out)


def _check_fingerprints(rows: Sequence[Record]) -> None:
    prepared = {row["database"]: row["fingerprint"] for row in rows if "fingerprint" in row}
    for database, expected in prepared.items():
        if Path(database).is_file() and fingerprint(Path(database)) != expected:
            raise InputError(
                f"{database} has changed since the rows were prepared; prepare them again"
            )


def _grpo_row(record: Record, position: str) -> Record:
    for name in TEXT_FIELDS:
        value = record.get(name)
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{position}: {name} must be text, got {value!r:.60}")
    row = {name: record[name] for name in TEXT_FIELDS}
    row["prompt"] = _messages(record, "prompt", position)
    rate = record.get("pass_rate", 0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise InputError(f"{position}: pass_rate must be a number from 0 to 1, got {rate!r:.60}")
    return row | {name: record[name] for name in OPTIONAL_FIELDS if name in record}


def _messages(record: Record, name: str, position: str) -> list[dict[str, str]]:
    messages = record.get(name)
    if not isinstance(messages, list) or not messages:
        raise InputError(f"{position}: {name} must be a list of messages, got {messages!r:.60}")
    return [_message(message, f"{position}: {name}") for message in messages]


def _message(message: Any, position: str) -> dict[str, str]:
    match message:
        case {"role": str(role), "content": str(content)} if content.strip():
            return {"role": role, "content": content}
    raise InputError(f"{position}: expected a role and a content with text, got {message!r:.60}")
