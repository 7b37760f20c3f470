"""Report what training questions have in common with evaluation questions.

    python scripts/check_overlap.py --training data/spider/train_spider.json \\
        --evaluation data/spider/dev.json

The report names the databases that both use and counts the questions with identical SQL over the
same database and the near-duplicates, including those with synonyms as in Spider-Syn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import run_program
from slmsql.files import write_json
from slmsql.questions.leakage import overlap
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions


@dataclass
class Options:
    training: str = field(metadata={"help": "questions to train on"})
    evaluation: list[str] = field(metadata={"help": "files of questions to evaluate on"})
    show: int = field(default=3, metadata={"help": "number of near-duplicates to show"})
    json: str = field(default="", metadata={"help": "JSON file for the figures"})


def main() -> None:
    options = parse(Options, about=__doc__)
    training = read(options.training)
    report = {}
    for file in options.evaluation:
        evaluation = read(file)
        shared = overlap(training, evaluation)
        report[file] = shared.figures()
        print(f"{options.training} and {file}: {shared.figures()}")
        show(shared.near_duplicates[: options.show], training, evaluation)
    if options.json:
        write_json(Path(options.json), report)


def read(file: str) -> list[Question]:
    path = Path(file)
    return read_questions(path, None if path.suffix == ".jsonl" else path.parent)


def show(
    pairs: Sequence[tuple[str, str]], training: list[Question], evaluation: list[Question]
) -> None:
    """Print the texts of near-duplicates, given as ids of a training and evaluation question."""
    training_texts = {question.id: question.text for question in training}
    evaluation_texts = {question.id: question.text for question in evaluation}
    for training_id, evaluation_id in pairs:
        print(f"  {training_texts[training_id]}\n  {evaluation_texts[evaluation_id]}\n")


if __name__ == "__main__":
    run_program(main)
