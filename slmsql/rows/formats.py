"""Rows of training data in TRL's prompt/completion form, made from questions."""

from slmsql.execution import fingerprint
from slmsql.files import Record
from slmsql.prompt.build import Layout, Messages
from slmsql.questions.question import Question


def sft_row(question: Question, prompt: Messages, completion: str) -> Record:
    """A row for supervised fine-tuning. `completion` is the text the model is taught."""
    return {
        "id": question.id,
        "prompt": prompt,
        "completion": [{"role": "assistant", "content": completion}],
        "db_id": question.db_id,
        "database": str(question.database),
        "gold_sql": question.gold_sql,
        "source": question.source,
    }


def grpo_row(
    question: Question, prompt: Messages, layout: Layout, pass_rate: float | None = None
) -> Record:
    """A row for GRPO: rewards run `gold_sql` on `database`.

    `layout` and `fingerprint` let the trainer find out, before it starts, that a format could never
    be earned or that a database is not the one the row was made from. `pass_rate` is the share of
    the model's samples that were right, where it is known.
    """
    known = {} if pass_rate is None else {"pass_rate": pass_rate}
    return {
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
        **known,
    }
