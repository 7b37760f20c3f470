"""The options shared by the programs that compare us with the official scripts."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.consistency.prediction import read_predictions
from slmsql.execution import Pair
from slmsql.questions.question import Question, with_databases
from slmsql.questions.reading import read_questions


@dataclass(kw_only=True)
class OfficialOptions:
    """Predictions, and the checkouts of the scripts that judge them too."""

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
    processes: int = field(
        default=2, metadata={"help": "processes that judge, of ours and of theirs"}
    )
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise ValueError(f"processes must be at least 1, got {self.processes}")

    def check_has_checkout(self) -> None:
        """Raise ValueError unless there is a checkout to compare with."""
        if self.bird is None and self.test_suite is None:
            raise ValueError("nothing to compare with: give --bird or --test-suite CHECKOUT")

    def read(self) -> tuple[list[Question], list[dict[str, str]]]:
        """Read the questions with gold SQL and a database, and each prediction file: SQL by id."""
        questions = read_questions(self.questions, self.databases)
        present, missing = with_databases(questions)
        if missing:
            print(f"left out: {len(missing)} questions without a usable database", file=sys.stderr)
        predictions = [read_predictions(file, questions) for file in self.predictions]
        return [question for question in present if question.gold_sql is not None], predictions


def pairs_of(questions: Sequence[Question], predictions: dict[str, str]) -> Iterator[Pair]:
    """Each prediction with the gold query of its question."""
    for question in questions:
        if question.id in predictions:
            yield Pair(question.database, predictions[question.id], question.gold_sql)
