"""What must not be trained on: evaluation splits, near-duplicates of them, denylisted databases."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.questions.near_duplicates import QuestionIndex
from slmsql.questions.question import Question

DENYLISTS = Path(__file__).parent / "denylists"
EVALUATION_SPLITS = ("dev", "test", "mini_dev", "minidev", "validation")
# Similarity from which two questions are near-duplicates. Over different databases it must be
# higher: questions of one form are alike there without being duplicates.
SAME_DATABASE = 0.4
OTHER_DATABASE = 0.6


@dataclass(frozen=True, slots=True)
class Overlap:
    """What training questions have in common with evaluation questions.

    `identical_sql` holds ids of training questions; `near_duplicates` holds pairs of a training
    question's id and the evaluation question's id.
    """

    questions: int
    databases: tuple[str, ...]
    identical_sql: tuple[str, ...]
    near_duplicates: tuple[tuple[str, str], ...]

    @property
    def ids(self) -> set[str]:
        """Ids of the training questions to leave out."""
        return {*self.identical_sql, *(training for training, _ in self.near_duplicates)}

    def figures(self) -> Record:
        """Counts for a report; `near_duplicates_percent` is of all training questions."""
        share = len(self.near_duplicates) / max(self.questions, 1)
        return {
            "questions": self.questions,
            "databases_in_common": list(self.databases),
            "identical_sql": len(self.identical_sql),
            "near_duplicates": len(self.near_duplicates),
            "near_duplicates_percent": round(100 * share, 1),
        }


def refuse_evaluation(split: str, file: str, *, allowed: bool) -> None:
    """Stop a program from making training rows of an evaluation split.

    Raises:
        InputError: the split or the name of the file is one of `EVALUATION_SPLITS`, as in
            `dev.json` or `mini_dev_sqlite.json`, and `allowed` is false.
    """
    name = split or Path(file).stem
    is_evaluation = any(name == s or name.startswith(f"{s}_") for s in EVALUATION_SPLITS)
    if is_evaluation and not allowed:
        raise InputError(
            f"{name!r} is an evaluation split; to train on it anyway, or to make validation rows, "
            "add --allow_evaluation_split true"
        )


def overlap(training: Sequence[Question], evaluation: Sequence[Question]) -> Overlap:
    """Compare training questions with evaluation questions.

    Identical SQL counts only over the same database: `SELECT count(*) FROM t` gives nothing away.
    """
    training_databases = {question.db_id for question in training}
    evaluation_databases = {question.db_id for question in evaluation}
    return Overlap(
        questions=len(training),
        databases=tuple(sorted(training_databases & evaluation_databases)),
        identical_sql=_identical_sql(training, evaluation),
        near_duplicates=_near_duplicates(training, evaluation),
    )


def plain_sql(sql: str | None) -> str:
    """SQL in lower case, with single spaces and without a final semicolon."""
    return " ".join((sql or "").split()).rstrip("; ").lower()


def read_denylist(name: str) -> frozenset[str]:
    """The databases on a list: a shipped one (`spider_ecommerce`) or a file with one name a line.

    Raises:
        InputError: there is no such list.
    """
    path = DENYLISTS / f"{name}.txt" if "/" not in name and "." not in name else Path(name)
    if not path.is_file():
        shipped = sorted(file.stem for file in DENYLISTS.glob("*.txt"))
        raise InputError(f"no denylist {name!r}; give a file or one of {shipped}")
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return frozenset(line.lower() for line in lines if line)


def split_by_database(
    questions: Sequence[Question], share: float, seed: int
) -> tuple[list[Question], list[Question]]:
    """Split into training and held-out questions that have no database in common.

    Args:
        questions: the questions to split.
        share: share of the questions to hold out, met as closely as whole databases allow.
        seed: decides which databases are held out.

    Raises:
        InputError: there are too few databases to hold any out, or to keep any.
    """
    counts = Counter(question.db_id for question in questions)
    databases = sorted(counts)
    random.Random(seed).shuffle(databases)
    held_out: set[str] = set()
    held_out_count = 0
    for db_id in databases:
        if held_out_count + counts[db_id] / 2 <= share * len(questions):
            held_out.add(db_id)
            held_out_count += counts[db_id]
    if not held_out or len(held_out) == len(databases):
        raise InputError(
            f"{len(databases)} databases cannot be split so that about {share:.0%} of the "
            "questions are held out; give another --held_out or --seed"
        )
    return (
        [question for question in questions if question.db_id not in held_out],
        [question for question in questions if question.db_id in held_out],
    )


def _identical_sql(training: Sequence[Question], evaluation: Sequence[Question]) -> tuple[str, ...]:
    evaluation_sql = {(question.db_id, plain_sql(question.gold_sql)) for question in evaluation}
    return tuple(
        question.id
        for question in training
        if question.gold_sql and (question.db_id, plain_sql(question.gold_sql)) in evaluation_sql
    )


def _near_duplicates(
    training: Sequence[Question], evaluation: Sequence[Question]
) -> tuple[tuple[str, str], ...]:
    index = QuestionIndex([question.text for question in evaluation])
    pairs = []
    for question in training:
        nearest = index.nearest(question.text)
        if nearest is None:
            continue
        other = evaluation[nearest.position]
        threshold = SAME_DATABASE if question.db_id == other.db_id else OTHER_DATABASE
        if nearest.similarity >= threshold:
            pairs.append((question.id, other.id))
    return tuple(pairs)
