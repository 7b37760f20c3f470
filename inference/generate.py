"""Draw candidates for questions and run them: the first stage.

    python inference/generate.py --model MODEL --questions FILE --output runs/NAME/candidates.jsonl

Each question's candidates are on disk as soon as they are done; the same command after a kill goes
on. With --round_size and --confidence a question stops as soon as its vote is decided.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from inference.inputs import QuestionOptions
from inference.sampling.journal import Journal
from inference.sampling.loading import model_identity, sampler_when_needed
from inference.sampling.options import SamplerOptions, SamplingOptions, sampling_for
from inference.sampling.progress import Progress
from inference.sampling.sampler import Sampler
from inference.sampling.scheduler import SamplingPlan, Task, draw
from slmsql.cli.config import parse
from slmsql.cli.options import PromptOptions
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor
from slmsql.prompt.build import build_prompt
from slmsql.questions.question import Question


@dataclass(kw_only=True)
class PlanOptions(PromptOptions, SamplingOptions):
    """How a question is put and how many candidates it gets."""

    round_size: int = field(default=0, metadata={"help": "candidates of a round; 0: all at once"})
    confidence: float = field(
        default=1.0, metadata={"help": "stop a question whose vote is this sure; 0.9 is good"}
    )
    repair: bool = field(
        default=False, metadata={"help": "show a candidate that fails its error, once"}
    )

    def __post_init__(self) -> None:
        SamplingOptions.__post_init__(self)
        if not 0.5 < self.confidence <= 1:
            raise ValueError(f"--confidence must be above 0.5, at most 1; got {self.confidence}")
        if self.confidence < 1 and not self.round_size:
            self.round_size = 1

    @property
    def plan(self) -> SamplingPlan:
        return SamplingPlan(
            sampling=sampling_for(self, self.template),
            n=self.n,
            round_size=self.round_size,
            confidence=self.confidence,
            repair=self.repair,
            seed=self.seed,
        )


@dataclass(kw_only=True)
class Options(QuestionOptions, PlanOptions, SamplerOptions):
    """Options of the first stage."""

    output: Path = field(metadata={"help": "candidates.jsonl to write"})
    workers: int = field(default=0, metadata={"help": "processes that run SQL; 0: all cores"})

    def settings(self) -> dict[str, object]:
        """What decides the candidates: a resumed run must agree with it."""
        return {
            "program": "generate",
            "model": model_identity(self.model),
            "adapter": model_identity(self.adapter),
            "questions": self.file_hash(),
            "limit": self.limit,
            "shard": self.shard,
            **asdict(self.prompt_settings),
            **asdict(self.plan),
        }


def main(options: Options) -> None:
    """Sample with the model that the options name."""
    with sampler_when_needed(options) as sampler:
        run(options, sampler)


def run(options: Options, sampler: Callable[[], Sampler]) -> None:
    """Sample what is not there yet; the sampler is opened only if something is missing."""
    questions = options.part_of(options.read_all())
    with Journal(options.output, options.settings()) as journal:
        missing = [question for question in questions if question.id not in journal.records]
        if journal.is_complete and not missing:
            print(f"{options.output}: {len(questions)} questions, nothing left to do")
            return
        with Executor(workers=options.workers or None) as executor:
            if missing:
                generate(missing, sampler(), executor, journal, options)
        journal.finish([question.id for question in questions])
        print(f"{options.output}: {summary(journal, options)}")


def generate(
    questions: Sequence[Question],
    sampler: Sampler,
    executor: Executor,
    journal: Journal,
    options: Options,
) -> None:
    """Draw the candidates of questions into the journal.

    Raises:
        InputError: the sampler gave up on some of them; the others are in the journal.
    """
    progress = Progress("generate", len(questions) + len(journal.records), len(journal.records))
    failed: list[str] = []
    for drawn in draw(_tasks(questions, options), sampler, executor):
        progress.step(drawn.tokens)
        if drawn.error:
            failed.append(f"{drawn.candidates.id}: {drawn.error}")
        else:
            journal.add(drawn.as_record())
    progress.finish()
    if failed:
        raise InputError(
            f"{len(failed)} questions got no answer; the same command tries them again "
            f"({failed[0]})"
        )


def summary(journal: Journal, options: SamplerOptions) -> str:
    """How many samples and tokens the questions took, and at prices given their cost."""
    records = journal.records.values()
    samples, asked, answered = (
        sum(int(record.get(name, 0)) for record in records)
        for name in ("samples", "prompt_tokens", "tokens")
    )
    cost = options.cost(asked, answered)
    return (
        f"{samples} candidates of {len(records)} questions, {samples / len(records):.1f} each; "
        f"{asked:,} prompt and {answered:,} completion tokens" + f", ${cost:.2f}" * bool(cost)
    )


def _tasks(questions: Sequence[Question], options: Options) -> Iterator[Task]:
    """Prompts are built as they are needed: reading schemas overlaps sampling."""
    for question in questions:
        yield Task(question, build_prompt(question, options.prompt_settings), options.plan)


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
