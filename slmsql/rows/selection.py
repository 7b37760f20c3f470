"""Select the questions that may be trained on, and count why the others are left out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from slmsql.cli.options import TrainingDataOptions
from slmsql.execution import Execution, Executor, Statement
from slmsql.files import Record
from slmsql.questions.leakage import overlap, read_denylist, refuse_evaluation
from slmsql.questions.question import Question, database_faults
from slmsql.questions.reading import read_questions


def select_questions(
    options: TrainingDataOptions, left_out: Counter[str]
) -> tuple[list[Question], Record]:
    """Read the questions and leave out those that must not be trained on.

    Args:
        left_out: receives the number of questions left out, by reason.

    Returns:
        The questions, and for each evaluation file what they share with it.

    Raises:
        InputError: the questions are an evaluation split and --allow_evaluation_split is not set.
    """
    refuse_evaluation(options.split, options.questions, allowed=options.allow_evaluation_split)
    questions = options.read()
    if options.denylist:
        denied = read_denylist(options.denylist)
        allowed = [question for question in questions if question.db_id.lower() not in denied]
        left_out["on the denylist"] += len(questions) - len(allowed)
        questions = allowed
    report: Record = {}
    overlapping: set[str] = set()
    for file in options.evaluation:
        shared = overlap(questions, _evaluation_questions(Path(file), options.databases))
        report[file] = shared.figures()
        overlapping |= shared.ids
    if options.drop_overlap:
        distinct = [question for question in questions if question.id not in overlapping]
        left_out["near an evaluation question"] += len(questions) - len(distinct)
        questions = distinct
    return questions, report


def with_gold(questions: Iterable[Question], left_out: Counter[str]) -> list[Question]:
    """Return the questions that have a database and a gold query; count the others."""
    questions = list(questions)
    faults = database_faults(questions)
    left_out.update(faults.values())
    present = [question for question in questions if question not in faults]
    usable = [question for question in present if question.gold_sql]
    left_out["no gold SQL"] += len(present) - len(usable)
    return usable


def run_gold(
    questions: Sequence[Question], left_out: Counter[str]
) -> list[tuple[Question, Execution]]:
    """Run the gold queries. Return the questions whose gold runs, with the execution of each."""
    with Executor() as executor:
        executions = executor.run([Statement(q.database, q.gold_sql) for q in questions])
    for execution in executions:
        if not execution.ok:
            left_out[f"gold: {execution.status}"] += 1
    pairs = zip(questions, executions, strict=True)
    return [(question, execution) for question, execution in pairs if execution.ok]


def _evaluation_questions(file: Path, databases: str) -> list[Question]:
    """Read questions to compare with. Only texts, db_ids and SQL count, so any folder will do."""
    if file.suffix == ".jsonl":
        return read_questions(file)
    return read_questions(file, Path(databases or "."))
