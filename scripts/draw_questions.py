"""Draw some questions of a benchmark by chance, for a shorter evaluation.

    python scripts/draw_questions.py --benchmark spider --root SPIDER --split dev \\
        --n 200 --output dev.jsonl

The first questions of a file are often about a few databases only; a sample is about all of them.
The same seed draws the same questions. They keep their ids and order, so prediction files and
scores remain comparable. Questions without a usable database are not drawn.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.errors import InputError, run_program
from slmsql.files import write_jsonl
from slmsql.questions.question import with_databases


@dataclass(kw_only=True)
class Options(SourceOptions):
    output: Path = field(metadata={"help": "JSON Lines file to write; give it as --questions"})
    n: int = field(metadata={"help": "number of questions to draw"})
    seed: int = field(default=1, metadata={"help": "of the draw"})


def main() -> None:
    options = parse(Options, about=__doc__)
    questions, missing = with_databases(options.read_all())
    if not 0 < options.n <= len(questions):
        raise InputError(f"--n {options.n}: {len(questions)} questions have a usable database")
    numbers = random.Random(options.seed).sample(range(len(questions)), options.n)
    drawn = [questions[number] for number in sorted(numbers)]
    write_jsonl(options.output, (question.as_record() for question in drawn))
    databases = len({question.database for question in drawn})
    print(
        f"{options.output}: {len(drawn)} of {len(questions)} questions, about {databases} databases"
        f" ({len(missing)} more have no usable database)"
    )


if __name__ == "__main__":
    run_program(main)
