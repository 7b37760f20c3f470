"""One question at a time, from its text to rows: what the server and the terminal share."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from pathlib import Path

from inference.generate import PlanOptions
from inference.inputs import RevisionOptions
from inference.sampling.loading import check_sampler, open_sampler
from inference.sampling.options import SamplerOptions, sampling_for
from inference.sampling.scheduler import SampledQuestion, SamplingPlan, Task
from inference.server.dispatcher import Dispatcher
from slmsql.consistency.candidates import Candidate
from slmsql.consistency.prediction import Prediction
from slmsql.consistency.revision import Revision, needs_revision, revision_prompts, second_vote
from slmsql.consistency.voting import ResultGroup, group_by_result, vote
from slmsql.execution import Execution, Executor, Limits, Statement
from slmsql.prompt.build import build_prompt
from slmsql.questions.question import Question

ROWS = 100  # shown of an answer's result


@dataclass(kw_only=True)
class ServiceOptions(RevisionOptions, PlanOptions, SamplerOptions):
    """Options of the programs that answer single questions."""

    round_size: int = field(default=4, metadata={"help": "candidates of a round"})
    confidence: float = field(
        default=0.9, metadata={"help": "stop sampling when the vote is this sure"}
    )
    merge_model: str = field(default="", metadata={"help": "model that settles doubtful votes"})
    merge_adapter: str = field(default="", metadata={"help": "LoRA adapter of the merge model"})
    merge_n: int = field(default=4, metadata={"help": "revisions of a doubtful question"})
    revise: bool = field(
        default=False, metadata={"help": "let the generator settle them, without a merge model"}
    )
    seconds: float = field(default=10.0, metadata={"help": "processor time for one statement"})
    workers: int = field(default=0, metadata={"help": "processes that run SQL; 0: all cores"})

    def __post_init__(self) -> None:
        PlanOptions.__post_init__(self)
        RevisionOptions.__post_init__(self)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with all that led to it."""

    prediction: Prediction
    execution: Execution
    groups: Sequence[ResultGroup]
    candidates: Sequence[Candidate]
    revisions: Sequence[Candidate]
    tokens: int
    seconds: float


class Service:
    """The models, loaded once, and the executor."""

    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        check_sampler(options)
        if options.merge_model:
            check_sampler(_merge_options(options))  # before the minutes of loading the generator
        limits = Limits(seconds=options.seconds, steps=int(options.seconds * 20_000_000))
        self.executor = Executor(workers=options.workers or None, limits=limits)
        self._generator = Dispatcher(open_sampler(options), self.executor)
        self._merger: Dispatcher | None = self._generator if options.revise else None
        if options.merge_model:
            self._merger = Dispatcher(open_sampler(_merge_options(options)), self.executor)

    @property
    def is_alive(self) -> bool:
        """Whether questions can be answered."""
        return self._generator.is_alive and (self._merger is None or self._merger.is_alive)

    def ask(self, question: Question) -> Reply:
        """Generate, vote, revise where it is doubtful, and run what was chosen.

        Raises:
            RuntimeError: the sampler gave no answer.
        """
        start = time.monotonic()
        messages = build_prompt(question, self._options.prompt_settings)
        first = self._drawn(self._generator, Task(question, messages, self._options.plan))
        prediction = vote(first.candidates)
        groups = group_by_result(first.candidates.candidates)
        second = self._revised(question, groups)
        if second is not None:
            prediction = second_vote(
                question.id, groups, second.candidates.candidates, self._options.revision_settings
            )
        (execution,) = self.executor.run(
            [Statement(question.database, prediction.sql)], preview=ROWS
        )
        return Reply(
            prediction=prediction,
            execution=execution,
            groups=groups,
            candidates=first.candidates.candidates,
            revisions=second.candidates.candidates if second else (),
            tokens=first.tokens + (second.tokens if second else 0),
            seconds=time.monotonic() - start,
        )

    def close(self) -> None:
        """Finish what is under way, then free models and processes."""
        self._generator.close()
        if self._merger is not None and self._merger is not self._generator:
            self._merger.close()
        self.executor.close()

    def _revised(
        self, question: Question, groups: tuple[ResultGroup, ...]
    ) -> SampledQuestion | None:
        if self._merger is None or not needs_revision(groups, self._options.revision_settings):
            return None
        (messages,) = revision_prompts(
            [Revision(question, groups)], self.executor, self._options.revision_settings
        )
        sampling = sampling_for(self._options, self._options.merge_template)
        plan = SamplingPlan(sampling=sampling, n=self._options.merge_n, seed=self._options.seed)
        return self._drawn(self._merger, Task(question, messages, plan))

    def _drawn(self, dispatcher: Dispatcher, task: Task) -> SampledQuestion:
        drawn = dispatcher.ask(task).result()
        if drawn.error:
            raise RuntimeError(drawn.error)
        return drawn


def _merge_options(options: ServiceOptions) -> SamplerOptions:
    names = [one.name for one in fields(SamplerOptions)]
    values = {name: value for name, value in asdict(options).items() if name in names}
    own = {"model": options.merge_model, "adapter": options.merge_adapter}
    return SamplerOptions(**(values | own))


def question_of(text: str, database: Path, db_id: str, evidence: str = "") -> Question:
    """A question without a file: its id, and with it its seed, comes from what is asked."""
    identity = blake2b(f"{db_id}\0{text}\0{evidence}".encode(), digest_size=8).hexdigest()
    return Question(identity, text, db_id, database, evidence)
