"""Options that several programs share: which questions to read, and how to word a prompt."""

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.execution.engines.address import is_url
from slmsql.files import Record, file_hash
from slmsql.prompt.build import PromptSettings
from slmsql.questions.question import Question, count_reasons, database_faults
from slmsql.questions.reading import benchmark_paths
from slmsql.questions.source import read_source

NOT_DECIDING = ("output", "rl_output", "held_out_output", "workers", "json")


@dataclass(kw_only=True)
class SourceOptions:
    """The questions: a file with its databases, or a split of a benchmark."""

    questions: str = field(
        default="",
        metadata={
            "help": "questions in JSON, JSON Lines or parquet, or hub:OWNER/NAME for a data set on "
            "the Hugging Face hub; or give --benchmark"
        },
    )
    databases: str = field(
        default="",
        metadata={
            "help": "folder of <db_id>/<db_id>.sqlite or .duckdb, or a server: "
            "postgresql://ann@host, mysql://ann@host"
        },
    )
    benchmark: str = field(default="", metadata={"help": "spider or bird"})
    root: str = field(default="", metadata={"help": "folder of the benchmark"})
    split: str = field(default="", metadata={"help": "train, dev, test, ..."})

    def read_all(self) -> list[Question]:
        """Read all questions of the file.

        Raises:
            InputError: an option or a record is wrong.
            FileNotFoundError: the file or the folder of databases is missing.
        """
        return read_source(
            self.questions,
            self.databases,
            benchmark=self.benchmark,
            root=self.root,
            split=self.split,
        )

    def files(self) -> list[Path]:
        """Return the path of the question file, as a list of one."""
        if self.benchmark:
            return [benchmark_paths(self.benchmark, Path(self.root), self.split)[0]]
        return [Path(self.questions)]


@dataclass(kw_only=True)
class QuestionOptions(SourceOptions):
    """Which questions to answer."""

    limit: int = field(default=0, metadata={"help": "answer only the first N questions; 0: all"})
    shard: str = field(
        default="", metadata={"help": "i/n: answer every n-th question, starting at i (from 0)"}
    )

    def select(self, questions: list[Question]) -> list[Question]:
        """The questions of `--limit` and `--shard` with a usable database; reports the others.

        Raises:
            InputError: the shard is malformed or contains no question.
            FileNotFoundError: no question has a database.
        """
        selected = self._shard_of(questions[: self.limit or None])
        faults = database_faults(selected)
        present = [question for question in selected if question not in faults]
        if not present:
            raise FileNotFoundError(
                f"no question has its database ({count_reasons(faults)}): {selected[0].database}"
            )
        if faults:
            print(
                f"left out: {len(faults)} of {len(selected)} questions ({count_reasons(faults)}; "
                f"for instance {next(iter(faults)).database})",
                file=sys.stderr,
            )
        return present

    def settings(self) -> dict[str, object]:
        """Which questions and databases they are, for a resumed run to compare."""
        folder = self.databases or self.root
        if folder and not is_url(Path(folder)):
            folder = str(Path(folder).resolve())
        return {
            "questions": file_hash(self.files()[0]),
            "databases": folder,
            "limit": self.limit,
            "shard": self.shard,
        }

    def _shard_of(self, questions: list[Question]) -> list[Question]:
        if not self.shard:
            return questions
        first, _, total = self.shard.partition("/")
        if not (first.isdigit() and total.isdigit() and int(first) < int(total)):
            raise InputError(
                f"--shard takes i/n with i from 0 to n-1, such as 0/4; got {self.shard!r}"
            )
        if not (shard := questions[int(first) :: int(total)]):
            raise InputError(f"--shard {self.shard} contains none of {len(questions)} questions")
        return shard


@dataclass(kw_only=True)
class TrainingDataOptions(SourceOptions):
    """The questions to make training rows from, and which of them must not be trained on."""

    limit: int = field(default=0, metadata={"help": "use only the first N questions; 0: all"})
    denylist: str = field(
        default="",
        metadata={"help": "databases to leave out: a file, or the name of a list we ship"},
    )
    evaluation: list[str] = field(
        default_factory=list,
        metadata={"help": "evaluation files to compare with; the data card lists the overlap"},
    )
    drop_overlap: bool = field(
        default=False, metadata={"help": "leave out questions that overlap with --evaluation"}
    )
    allow_evaluation_split: bool = field(
        default=False, metadata={"help": "allow training rows from a dev or test split"}
    )

    def read(self) -> list[Question]:
        """Read the first `limit` questions."""
        return self.read_all()[: self.limit or None]


@dataclass(kw_only=True)
class TemplateOptions:
    """How a prompt is worded and which values it shows."""

    template: str = field(default="think", metadata={"help": "prompt template: a name or a path"})
    sample_values: int = field(default=2, metadata={"help": "example values shown for each column"})
    retrieve_values: bool = field(
        default=False, metadata={"help": "search the database for values that the question names"}
    )


@dataclass(kw_only=True)
class PromptOptions(TemplateOptions):
    """How a question is put to the model; give training and inference the same."""

    schema_tokens: int = field(
        default=0, metadata={"help": "token budget for the schema; 0: no limit"}
    )

    @property
    def prompt_settings(self) -> PromptSettings:
        """The settings that `slmsql.prompt.build` takes."""
        return PromptSettings(
            self.template, self.sample_values, self.retrieve_values, self.schema_tokens
        )


def card_arguments(options: Any) -> Record:
    """Return the options that decide what a program writes, for the data card.

    Args:
        options: a dataclass of options. Output files and the number of processes are left out.
    """
    return {name: value for name, value in asdict(options).items() if name not in NOT_DECIDING}
