"""Questions that may be trained on: read, guarded, and what was left out counted."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from slmsql.cli.options import DataOptions, GuardOptions
from slmsql.files import Record
from slmsql.questions.leakage import overlap, read_denylist, refuse_evaluation
from slmsql.questions.question import Question, read_questions


def guarded(
    source: DataOptions, guards: GuardOptions, left_out: Counter[str]
) -> tuple[list[Question], Record]:
    """The questions that the guards let pass, and the report of what overlaps.

    Raises:
        InputError: the split is for evaluation and nobody said that it may be trained on.
    """
    refuse_evaluation(source.split, source.questions, allowed=guards.allow_evaluation_split)
    questions = source.read()
    if guards.denylist:
        denied = read_denylist(guards.denylist)
        kept = [question for question in questions if question.db_id.lower() not in denied]
        left_out["on the denylist"] += len(questions) - len(kept)
        questions = kept
    return _apart(questions, guards, source.databases, left_out)


def _apart(
    questions: list[Question], guards: GuardOptions, databases: str, left_out: Counter[str]
) -> tuple[list[Question], Record]:
    report: Record = {}
    near: set[str] = set()
    for file in guards.evaluation:
        found = overlap(questions, _evaluation(Path(file), databases))
        report[file] = found.figures()
        near |= found.ids
    if not guards.drop_overlap:
        return questions, report
    kept = [question for question in questions if question.id not in near]
    left_out["near an evaluation question"] += len(questions) - len(kept)
    return kept, report


def _evaluation(file: Path, databases: str) -> Sequence[Question]:
    """Only texts, db_ids and SQL are compared, so any folder will do for the databases."""
    has_paths = file.suffix == ".jsonl"
    return read_questions(file, None if has_paths else Path(databases) if databases else Path("."))
