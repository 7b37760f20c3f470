"""GRPO rows: read and checked before a model is loaded.

{"id": ..., "prompt": [{"role": "user", "content": ...}], "gold_sql": ..., "database": ...}

A `pass_rate` may stand beside them: the share of samples of the model to be trained that were right
(scripts/prepare_rl.py --candidates).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import Executor, Pair, fingerprint
from slmsql.files import Record, read_jsonl
from slmsql.match import Match
from slmsql.prompt.answer import TAGS
from slmsql.prompt.build import Layout

TEXTS = ("id", "gold_sql", "database")
KEPT = (*TEXTS, "prompt")
OPTIONAL = ("fingerprint", "layout", "pass_rate")


@dataclass(frozen=True, slots=True)
class Checked:
    """Rows whose gold query runs, and why the others were left out."""

    rows: list[Record]
    left_out: Counter[str]

    def summary(self) -> str:
        reasons = "; ".join(f"{count} {reason}" for reason, count in self.left_out.most_common())
        return f"{len(self.rows)} rows; left out: {reasons or 'none'}"


def read_rows(path: Path) -> list[Record]:
    """Read rows; what is not used in training is dropped, a repeated id refused.

    Raises:
        InputError: a row is malformed (with its position), an id occurs twice, or there is none.
    """
    rows: dict[str, Record] = {}
    for number, record in enumerate(read_jsonl(path), start=1):
        row = _row(record, f"{path}, row {number}")
        if row["id"] in rows:
            raise InputError(f"{path}, row {number}: the id {row['id']!r} occurs twice")
        rows[row["id"]] = row
    if not rows:
        raise InputError(f"{path} is empty; scripts/prepare_rl.py makes rows from questions")
    return list(rows.values())


def check_layout(rows: Sequence[Record], path: Path) -> None:
    """Refuse rows whose template does not ask for what the format reward pays for.

    Rows from elsewhere may not say their layout; then their prompt must name the tags.
    """
    for row in rows:
        text = "\n".join(message["content"] for message in row["prompt"])
        layout = row.get("layout") or (
            Layout.THINK if all(tag in text for tag in TAGS) else "other"
        )
        if layout != Layout.THINK:
            raise InputError(
                f"{path}, {row['id']}: its prompt asks for the layout '{layout}', in which the "
                "format reward could never be earned; prepare the rows with a template of the "
                f"'{Layout.THINK}' layout, or leave `format` out of --rewards"
            )


def running(rows: Sequence[Record], executor: Executor, match: Match) -> Checked:
    """The rows whose gold query runs: the others could reward nothing, or nonsense.

    Raises:
        FileNotFoundError, InputError: a database is missing or is none.
        InputError: a database is not the one that the rows were made from, or no gold runs.
    """
    _check_fingerprints(rows)
    pairs = [Pair(Path(row["database"]), row["gold_sql"], row["gold_sql"]) for row in rows]
    kept, left_out = [], Counter[str]()
    for row, verdict in zip(rows, executor.judge(pairs, match=match), strict=True):
        if verdict.gold.ok:
            kept.append({name: row[name] for name in KEPT})
        else:
            left_out[f"gold {verdict.gold.status} ({verdict.gold.error})"[:100]] += 1
    if not kept:
        raise InputError(f"no gold query of {len(rows)} rows runs: {dict(left_out)}")
    return Checked(kept, left_out)


def pass_rates(rows: Sequence[Record]) -> dict[str, float]:
    """The pass rates of the rows that have one, by id."""
    return {row["id"]: row["pass_rate"] for row in rows if "pass_rate" in row}


def _check_fingerprints(rows: Sequence[Record]) -> None:
    expected = {row["database"]: row["fingerprint"] for row in rows if "fingerprint" in row}
    for database, known in expected.items():
        if Path(database).is_file() and fingerprint(Path(database)) != known:
            raise InputError(
                f"{database} has changed since the rows were prepared; prepare them again"
            )


def _row(record: Record, where: str) -> Record:
    for name in TEXTS:
        value = record.get(name)
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{where}: {name!r} must be text, got {value!r:.60}")
    prompt = record.get("prompt")
    if not isinstance(prompt, list) or not prompt:
        raise InputError(f"{where}: 'prompt' must be a list of messages, got {prompt!r:.60}")
    row = {name: record[name] for name in TEXTS}
    row["prompt"] = [_message(message, where) for message in prompt]
    rate = record.get("pass_rate", 0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise InputError(f"{where}: 'pass_rate' must be a number from 0 to 1, got {rate!r:.60}")
    return row | {name: record[name] for name in OPTIONAL if name in record}


def _message(message: object, where: str) -> dict[str, str]:
    match message:
        case {"role": str(role), "content": str(content)} if content.strip():
            return {"role": role, "content": content}
    raise InputError(f"{where}: expected a role and a content with text, got {message!r:.60}")
