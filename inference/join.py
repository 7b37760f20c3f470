"""Join the candidates of shards, or of several runs, into one file.

    python inference/join.py --candidates shard*/candidates.jsonl --questions FILE --output FILE

The questions stand in their order, and each must have candidates. Candidates of several runs for
one question stand together, in the order of the files.
"""

from dataclasses import dataclass, field
from pathlib import Path

from inference.inputs import QuestionOptions
from slmsql.candidates import read_candidates
from slmsql.config import parse
from slmsql.errors import run_program
from slmsql.files import write_jsonl


@dataclass(kw_only=True)
class Options(QuestionOptions):
    candidates: list[Path] = field(metadata={"help": "files to join"})
    output: Path = field(metadata={"help": "candidates.jsonl to write"})


def main(options: Options) -> None:
    """Read all, write one."""
    known = options.read_all()
    sets = read_candidates(options.candidates, known, wanted=options.part_of(known))
    count = write_jsonl(options.output, (found.as_record() for found in sets))
    print(f"{options.output}: {count} questions")


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
