"""Join the candidates of shards or of several runs into one file.

    python inference/join.py --candidates shard*/candidates.jsonl --questions FILE --output FILE

Every question must have candidates. The output has the order of the questions; a question's
candidates from several runs have the order of the files, and their tokens and seconds are summed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import QuestionOptions
from slmsql.consistency.candidates import COSTS, read_candidates
from slmsql.errors import run_program
from slmsql.files import read_jsonl, write_jsonl


@dataclass(kw_only=True)
class Options:
    """Options of the join."""

    source: QuestionOptions
    candidates: list[Path] = field(metadata={"help": "files to join"})
    output: Path = field(metadata={"help": "candidates.jsonl to write"})


def main(options: Options) -> None:
    """Read all files, write one."""
    questions = options.source.read_all()
    wanted = options.source.select(questions)
    sets = read_candidates(options.candidates, questions, wanted=wanted)
    costs = _costs(options.candidates)
    records = (s.as_record() | costs.get(s.id, {}) for s in sets)
    print(f"{options.output}: {write_jsonl(options.output, records)} questions")


def _costs(files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Tokens and seconds of each question, summed over the files that record them."""
    costs: dict[str, dict[str, float]] = {}
    for file in files:
        for record in read_jsonl(file) if file.suffix == ".jsonl" else ():
            cost = costs.setdefault(str(record["id"]), {})
            for name in COSTS:
                if name in record:
                    cost[name] = round(cost.get(name, 0) + record[name], 3)
    return costs


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
