"""The functions that text_to_sql.yaml names: documents from questions, and the verdict."""

from typing import TYPE_CHECKING, Any

from scripts.harness.asked import asked_questions, verdict

if TYPE_CHECKING:
    from datasets import Dataset


def questions(
    benchmark: str = "spider",
    root: str = "data/spider",
    split: str = "dev",
    limit: int = 0,
    match: str = "bird",
    template: str = "think",
    **_: Any,
) -> "dict[str, Dataset]":
    """The documents; each parameter can be set with `--metadata`.

    Raises:
        InputError, FileNotFoundError: as `asked_questions`.
    """
    from datasets import Dataset

    documents = [
        {
            "id": asked.question.id,
            "system": asked.text("system"),
            "user": asked.text("user"),
            "gold_sql": asked.gold_sql,
            "database": str(asked.question.database),
            "match": match,
        }
        for asked in asked_questions(benchmark, root, split, limit=limit, template=template)
    ]
    return {"test": Dataset.from_list(documents)}


def judge(document: dict[str, str], completions: list[str]) -> dict[str, float]:
    """1 if the query of the completion has the gold query's result, else 0."""
    database, match = document["database"], document["match"]
    return {"execution": verdict(completions[0], document["gold_sql"], database, match)}
