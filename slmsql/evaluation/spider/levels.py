"""Adds Spider's levels of difficulty to questions that lack one."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from slmsql.evaluation.spider.catalog import Catalog, read_catalog
from slmsql.evaluation.spider.hardness import hardness
from slmsql.questions.question import Question


class Catalogs:
    """The catalogs of databases, each read once."""

    def __init__(self, foreign_keys: dict[str, dict[str, str]] | None = None) -> None:
        self.foreign_keys = foreign_keys or {}
        self._catalogs: dict[Path, Catalog] = {}

    def of(self, question: Question) -> Catalog:
        """The catalog of a question's database."""
        if question.database not in self._catalogs:
            same = self.foreign_keys.get(question.db_id)
            self._catalogs[question.database] = read_catalog(question.database, same)
        return self._catalogs[question.database]


def with_levels(questions: Iterable[Question], catalogs: Catalogs) -> list[Question]:
    """The questions; those of Spider that lack a difficulty get it, if their database exists."""
    return [_with_level(question, catalogs) for question in questions]


def _with_level(question: Question, catalogs: Catalogs) -> Question:
    if question.source != "spider" or question.difficulty or not question.database.is_file():
        return question
    return replace(question, difficulty=hardness(question.gold_sql or "", catalogs.of(question)))
