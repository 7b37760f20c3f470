"""Spider's levels of difficulty for questions that come without one."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from slmsql.questions.question import Question
from slmsql.spider.catalog import Catalog, read_catalog
from slmsql.spider.hardness import hardness


class Catalogs:
    """The catalogs of databases, each read once."""

    def __init__(self, foreign_keys: dict[str, dict[str, str]] | None = None) -> None:
        self.foreign_keys = foreign_keys or {}
        self._known: dict[Path, Catalog] = {}

    def of(self, question: Question) -> Catalog:
        """The catalog of a question's database."""
        if question.database not in self._known:
            same = self.foreign_keys.get(question.db_id)
            self._known[question.database] = read_catalog(question.database, same)
        return self._known[question.database]


def with_levels(questions: Iterable[Question], catalogs: Catalogs) -> list[Question]:
    """Spider's questions with their level; others, and those without a database, as they are."""
    return [
        replace(one, difficulty=hardness(one.gold_sql or "", catalogs.of(one)))
        if one.source == "spider" and not one.difficulty and one.database.is_file()
        else one
        for one in questions
    ]
