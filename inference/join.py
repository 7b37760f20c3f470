"""Join the candidates of shards, or of several runs, into one file.

    python inference/join.py --candidates shard*/candidates.jsonl --questions FILE --output FILE

The questions stand in their order, and each must have candidates. Candidates of several runs for
one question stand together, in the order of the files; what they cost is added up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inference.inputs import QuestionOptions
from slmsql.cli.config import parse
from slmsql.consistency.candidates import read_candidates
from slmsql.errors import run_program
from slmsql.files import read_jsonl, write_jsonl

COSTS = ("prompt_tokens", "tokens", "seconds")


@dataclass(kw_only=True)
class Options(QuestionOptions):
    candidates: list[Path] = field(metadata={"help": "files to join"})
    output: Path = field(metadata={"help": "candidates.jsonl to write"})


def main(options: Options) -> None:
    """Read all, write one."""
    known = options.read_all()
    sets = read_candidates(options.candidates, known, wanted=options.part_of(known))
    spent = _spent(options.candidates)
    records = (found.as_record() | spent.get(found.id, {}) for found in sets)
    print(f"{options.output}: {write_jsonl(options.output, records)} questions")


def _spent(files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """What each question cost in all files; those of other systems do not say."""
    spent: dict[str, dict[str, float]] = {}
    for file in files:
        for record in read_jsonl(file) if file.suffix == ".jsonl" else ():
            before = spent.setdefault(str(record["id"]), {})
            for name in COSTS:
                if name in record:
                    before[name] = round(before.get(name, 0) + record[name], 3)
    return spent


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
