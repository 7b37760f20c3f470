"""Options that the programs around the official scripts have in common."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.consistency.prediction import read_predictions
from slmsql.execution import Pair
from slmsql.questions.question import Question, read_questions, with_databases


@dataclass(kw_only=True)
class OfficialOptions:
    """Predictions to judge, and the checkouts that judge them too."""

    questions: Path = field(metadata={"help": "dev.json or JSON Lines"})
    databases: Path | None = field(
        default=None, metadata={"help": "folder with <db_id>/<db_id>.sqlite"}
    )
    predictions: list[Path] = field(metadata={"help": "prediction files"})
    bird: Path | None = field(default=None, metadata={"help": "checkout of bird-bench/mini_dev"})
    test_suite: Path | None = field(
        default=None, metadata={"help": "checkout of taoyds/test-suite-sql-eval"}
    )
    python: str = field(
        default=sys.executable, metadata={"help": "interpreter for the official scripts"}
    )
    processes: int = field(default=2, metadata={"help": "of each contender"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise ValueError(f"processes must be at least 1, got {self.processes}")

    def check_has_checkout(self) -> None:
        """Raises ValueError where there is nothing to compare with."""
        if self.bird is None and self.test_suite is None:
            raise ValueError("nothing to compare with: say --bird or --test-suite CHECKOUT")

    def read(self) -> tuple[list[Question], list[dict[str, str]]]:
        """The questions with gold SQL and a database, and SQL by id of each prediction file."""
        questions = read_questions(self.questions, self.databases)
        asked, missing = with_databases(questions)
        if missing:
            print(f"{len(missing)} questions have no database here, left out", file=sys.stderr)
        sets = [read_predictions(file, questions) for file in self.predictions]
        return [question for question in asked if question.gold_sql is not None], sets


def pairs_of(questions: Sequence[Question], predictions: dict[str, str]) -> Iterator[Pair]:
    """Each prediction beside the gold of its question."""
    for question in questions:
        if question.id in predictions:
            yield Pair(question.database, predictions[question.id], question.gold_sql)
