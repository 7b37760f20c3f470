"""Options that programs have in common: which questions, how put, what is not trained on."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from slmsql.files import Record
from slmsql.prompt.build import PromptSettings
from slmsql.questions.question import Question, benchmark_paths
from slmsql.questions.source import read_source

NOT_DECIDING = ("output", "rl_output", "held_out_output", "workers", "json")


@dataclass(kw_only=True)
class SourceOptions:
    """Which questions: a file with its databases, or a split of a benchmark."""

    questions: str = field(
        default="",
        metadata={
            "help": "JSON, JSON Lines or parquet of questions, or hub:NAME; or use --benchmark"
        },
    )
    databases: str = field(default="", metadata={"help": "folder of <db_id>/<db_id>.sqlite"})
    benchmark: str = field(default="", metadata={"help": "spider or bird"})
    root: str = field(default="", metadata={"help": "folder of the benchmark"})
    split: str = field(default="", metadata={"help": "train, dev, test, ..."})

    def read_all(self) -> list[Question]:
        """All questions of the file.

        Raises:
            InputError: wrong options or records.
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
        """The question file, where it is one."""
        if self.benchmark:
            return [benchmark_paths(self.benchmark, Path(self.root), self.split)[0]]
        return [Path(self.questions)]


@dataclass(kw_only=True)
class DataOptions(SourceOptions):
    """What the programs that prepare data have in common."""

    limit: int = field(default=0, metadata={"help": "at most so many questions; 0: all"})

    def read(self) -> list[Question]:
        """The questions, as many as asked for."""
        return self.read_all()[: self.limit or None]

    def deciding(self) -> Record:
        """The options that decide what is written, for the data card."""
        return {name: value for name, value in asdict(self).items() if name not in NOT_DECIDING}


@dataclass(kw_only=True)
class PromptOptions:
    """How a question is put to the model; give training and inference the same."""

    template: str = field(default="think", metadata={"help": "prompt template: a name or a path"})
    sample_values: int = field(default=2, metadata={"help": "example values shown for each column"})
    retrieve_values: bool = field(
        default=False, metadata={"help": "search the database for values that the question names"}
    )
    schema_tokens: int = field(
        default=0, metadata={"help": "token budget for the schema; 0: no limit"}
    )

    @property
    def prompt_settings(self) -> PromptSettings:
        """The settings that `slmsql.prompt.build` takes."""
        return PromptSettings(
            self.template, self.sample_values, self.retrieve_values, self.schema_tokens
        )


@dataclass(kw_only=True)
class GuardOptions:
    """What must not be trained on."""

    denylist: str = field(
        default="", metadata={"help": "databases to leave out: a shipped list's name or a file"}
    )
    evaluation: list[str] = field(
        default_factory=list,
        metadata={"help": "question files to be evaluated on: what is near them is reported"},
    )
    drop_overlap: bool = field(
        default=False, metadata={"help": "leave out what is near an evaluation question"}
    )
    allow_evaluation_split: bool = field(
        default=False, metadata={"help": "make training rows of a dev or test split all the same"}
    )
