"""The formats of training rows: TRL's prompt/completion form.

prompt = build_prompt(question, prompt_settings)
completion = target(thought, question.gold_sql, layout)
row = sft_row(question, prompt.messages, completion)
"""

from pathlib import Path

from slmsql.execution import fingerprint
from slmsql.files import Record, read_jsonl
from slmsql.prompt.build import Layout, Messages
from slmsql.questions.question import Question


def sft_row(
    question: Question, prompt: Messages, completion: str, *, columns_left_out: int = 0
) -> Record:
    """Return a row for supervised fine-tuning.

    Args:
        completion: the text that the model learns to write.
        columns_left_out: number of columns that the schema budget removed from the prompt.
    """
    row: Record = {
        "id": question.id,
        "prompt": prompt,
        "completion": [{"role": "assistant", "content": completion}],
        "db_id": question.db_id,
        "database": str(question.database),
        "gold_sql": question.gold_sql,
        "source": question.source,
    }
    if columns_left_out:
        row["columns_left_out"] = columns_left_out
    return row


def grpo_row(
    question: Question,
    prompt: Messages,
    layout: Layout,
    pass_rate: float | None = None,
    *,
    columns_left_out: int = 0,
) -> Record:
    """Return a row for GRPO, whose rewards run `gold_sql` on `database`.

    The trainer checks two fields before it starts. `layout` tells it whether a completion can earn
    the format reward at all. `fingerprint` tells it whether the database is the one that the row
    was made from.

    Args:
        pass_rate: share of the model's samples that were right (0 to 1), or None if unknown.
        columns_left_out: number of columns that the schema budget removed from the prompt.
    """
    row: Record = {
        "id": question.id,
        "prompt": prompt,
        "gold_sql": question.gold_sql,
        "database": str(question.database),
        "fingerprint": fingerprint(question.database),
        "layout": str(layout),
        "db_id": question.db_id,
        "source": question.source,
        "question": question.text,
        "evidence": question.evidence,
        "difficulty": question.difficulty,
    }
    if pass_rate is not None:
        row["pass_rate"] = pass_rate
    if columns_left_out:
        row["columns_left_out"] = columns_left_out
    return row


def read_thoughts(file: Path) -> dict[str, str]:
    """Return the reasoning (`thought`) of each question by its id.

    Only JSON Lines can have thoughts. Questions without one are not in the result.
    """
    if file.suffix != ".jsonl":
        return {}
    return {
        str(record.get("id")): record["thought"].strip()
        for record in read_jsonl(file)
        if isinstance(record.get("thought"), str) and record["thought"].strip()
    }
