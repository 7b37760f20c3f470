"""Split questions into two files that share no database, such as for SFT and for GRPO.

    python scripts/split_questions.py --benchmark spider --root SPIDER --split train \\
        --output sft_questions.jsonl --held_out_output rl_questions.jsonl --held_out 0.2

A model that has learnt the answers to its training questions makes few mistakes on them: GRPO and
a merge model learn more from questions that SFT has not seen. The same seed gives the same split.
Questions without a usable database are left out.
"""

from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.errors import run_program
from slmsql.files import write_jsonl
from slmsql.questions.leakage import split_by_database
from slmsql.questions.question import with_databases


@dataclass(kw_only=True)
class Options(SourceOptions):
    output: Path = field(metadata={"help": "JSON Lines file for most questions"})
    held_out_output: Path = field(metadata={"help": "JSON Lines file for the others"})
    held_out: float = field(
        default=0.2, metadata={"help": "share of the questions that goes to --held_out_output"}
    )
    seed: int = field(default=1, metadata={"help": "decides which databases are held out"})

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise ValueError(f"--held_out must be between 0 and 1, got {self.held_out}")
        if self.output == self.held_out_output:
            raise ValueError(f"--held_out_output and --output are both {self.output}")


def main() -> None:
    options = parse(Options, about=__doc__)
    questions, missing = with_databases(options.read_all())
    parts = split_by_database(questions, options.held_out, options.seed)
    for file, part in zip((options.output, options.held_out_output), parts, strict=True):
        write_jsonl(file, (question.as_record() for question in part))
        databases = len({question.db_id for question in part})
        print(f"{file}: {len(part)} questions about {databases} databases")
    if missing:
        print(f"{len(missing)} questions have no usable database")


if __name__ == "__main__":
    run_program(main)
