"""What must not be trained on: evaluation splits, their near-duplicates, databases on a list."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.questions.near_duplicates import Neighbours
from slmsql.questions.question import Question

LISTS = Path(__file__).parent / "denylists"
EVALUATION = ("dev", "test", "mini_dev", "minidev", "validation")
SAME_DATABASE = 0.4  # similarity of near-duplicates over the same database
ANY_DATABASE = 0.6  # the same over different ones, where other questions are alike by form


@dataclass(frozen=True, slots=True)
class Overlap:
    """What training questions have in common with evaluation questions.

    The lists hold ids of training questions, `near` each with the evaluation question it is near.
    """

    questions: int
    databases: tuple[str, ...]
    same_sql: tuple[str, ...]
    near: tuple[tuple[str, str], ...]

    @property
    def ids(self) -> set[str]:
        """Training questions that an evaluation must not meet."""
        return {*self.same_sql, *(mine for mine, _ in self.near)}

    def figures(self) -> Record:
        return {
            "questions": self.questions,
            "databases_in_common": list(self.databases),
            "identical_sql": len(self.same_sql),
            "near_duplicates": len(self.near),
            "near_duplicates_percent": round(100 * len(self.near) / max(self.questions, 1), 1),
        }


def refuse_evaluation(split: str, file: str, *, allowed: bool) -> None:
    """Refuse to make training rows of a split that is for evaluation.

    Raises:
        InputError: the split, or the name of the file, is one of `EVALUATION`.
    """
    name = split or Path(file).stem
    if not allowed and any(name == word or name.startswith(f"{word}_") for word in EVALUATION):
        raise InputError(
            f"{name!r} is for evaluation; to train on it all the same, or to make rows to validate "
            "with, say --allow_evaluation_split true"
        )


def overlap(training: Sequence[Question], evaluation: Sequence[Question]) -> Overlap:
    """Compare training questions with those of an evaluation.

    Identical SQL counts over the same database only: `SELECT count(*) FROM t` is nobody's secret.
    """
    known = Neighbours([question.text for question in evaluation])
    sqls = {(question.db_id, plain_sql(question.gold_sql)) for question in evaluation}
    near = []
    for question in training:
        found = known.nearest(question.text)
        if found is None:
            continue
        other = evaluation[found.position]
        needed = SAME_DATABASE if question.db_id == other.db_id else ANY_DATABASE
        if found.similarity >= needed:
            near.append((question.id, other.id))
    return Overlap(
        questions=len(training),
        databases=tuple(sorted({q.db_id for q in training} & {q.db_id for q in evaluation})),
        same_sql=tuple(
            question.id
            for question in training
            if question.gold_sql and (question.db_id, plain_sql(question.gold_sql)) in sqls
        ),
        near=tuple(near),
    )


def plain_sql(sql: str | None) -> str:
    """SQL for comparison: blanks and a final semicolon aside, in lower case."""
    return " ".join((sql or "").split()).rstrip("; ").lower()


def read_denylist(name: str) -> frozenset[str]:
    """The databases of a shipped list (`spider_ecommerce`) or of a file, one a line.

    Raises:
        InputError: there is no such list.
    """
    path = LISTS / f"{name}.txt" if "/" not in name and "." not in name else Path(name)
    if not path.is_file():
        shipped = sorted(file.stem for file in LISTS.glob("*.txt"))
        raise InputError(f"no denylist {name!r}; give a file or one of {shipped}")
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return frozenset(line.lower() for line in lines if line)


def split_by_database(
    questions: Sequence[Question], share: float, seed: int
) -> tuple[list[Question], list[Question]]:
    """Split into training and held-out questions that have no database in common.

    Args:
        share: of the questions to hold out; as near to it as whole databases allow.
    """
    counts = Counter(question.db_id for question in questions)
    databases = sorted(counts)
    random.Random(seed).shuffle(databases)
    held: set[str] = set()
    wanted = share * len(questions)
    for db_id in databases:
        so_far = sum(counts[one] for one in held)
        if so_far + counts[db_id] / 2 <= wanted:
            held.add(db_id)
    return (
        [question for question in questions if question.db_id not in held],
        [question for question in questions if question.db_id in held],
    )
