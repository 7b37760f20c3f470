"""What training questions have in common with evaluation questions.

    python scripts/check_overlap.py --training train_spider.json --evaluation spider-syn/dev.json

Says which databases they share, how many have identical SQL over the same database, and how many
are near-duplicates (also with synonyms in them, as in Spider-Syn).
"""

from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import run_program
from slmsql.files import write_json
from slmsql.questions.leakage import overlap
from slmsql.questions.question import Question, read_questions


@dataclass
class Options:
    training: str = field(metadata={"help": "question file to train on"})
    evaluation: list[str] = field(metadata={"help": "question files to be evaluated on"})
    show: int = field(default=3, metadata={"help": "pairs to show"})
    json: str = field(default="", metadata={"help": "file for the figures"})


def main() -> None:
    options = parse(Options, about=__doc__)
    training = _read(options.training)
    report = {}
    for file in options.evaluation:
        known = _read(file)
        found = overlap(training, known)
        report[file] = found.figures()
        print(f"{options.training} and {file}: {found.figures()}")
        _show(found.near[: options.show], training, known)
    if options.json:
        write_json(Path(options.json), report)


def _read(file: str) -> list[Question]:
    path = Path(file)
    return read_questions(path, None if path.suffix == ".jsonl" else path.parent)


def _show(
    pairs: tuple[tuple[str, str], ...], training: list[Question], known: list[Question]
) -> None:
    mine = {question.id: question.text for question in training}
    theirs = {question.id: question.text for question in known}
    for first, second in pairs:
        print(f"  {mine[first]}\n  {theirs[second]}\n")


if __name__ == "__main__":
    run_program(main)
