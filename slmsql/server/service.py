"""One question at a time, from its text to its rows: what the server and the terminal share."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from slmsql.cli.options import PromptOptions
from slmsql.consistency.candidates import Candidate
from slmsql.consistency.options import RevisionOptions
from slmsql.consistency.prediction import Prediction
from slmsql.consistency.revision import Revision, needs_revision, revision_prompts, second_vote
from slmsql.consistency.voting import ResultGroup, group_by_result, vote
from slmsql.execution import Execution, Executor, Limits, Row, Statement
from slmsql.prompt.build import build_prompt
from slmsql.questions.question import Question
from slmsql.sampling.loading import check_sampler, open_sampler
from slmsql.sampling.model import ModelOptions, with_model
from slmsql.sampling.options import PlanOptions, SamplerOptions, sampling_params
from slmsql.sampling.sampler import Sampler
from slmsql.sampling.scheduler import SampledQuestion, SamplingPlan, Task
from slmsql.server.dispatcher import Dispatcher

ROWS = 100  # rows of the result in a reply
STEPS_PER_SECOND = 20_000_000  # instructions of SQLite's virtual machine


@dataclass(kw_only=True)
class AdaptivePlanOptions(PlanOptions):
    """How many candidates to sample, and how; by default until the vote is 90 % certain."""

    round_size: int = field(
        default=4, metadata={"help": "candidates sampled per round; 0: all in one round"}
    )
    confidence: float = field(
        default=0.9, metadata={"help": "stop sampling when the vote is this certain"}
    )


@dataclass(kw_only=True)
class ServiceOptions:
    """How questions are revised and run."""

    prompt: PromptOptions
    plan: AdaptivePlanOptions
    sampler: ModelOptions
    revision: RevisionOptions
    merge_model: str = field(default="", metadata={"help": "model that revises doubtful votes"})
    merge_adapter: str = field(default="", metadata={"help": "LoRA adapter of the merge model"})
    merge_n: int = field(default=4, metadata={"help": "number of revisions of a doubtful question"})
    revise: bool = field(
        default=False, metadata={"help": "let the generator revise, without a merge model"}
    )
    seconds: float = field(default=10.0, metadata={"help": "processor time limit of a statement"})
    workers: int = field(default=0, metadata={"help": "processes that run SQL; 0: all cores"})

    @property
    def merge_sampler(self) -> SamplerOptions:
        """How the merge model is loaded."""
        return replace(self.sampler, model=self.merge_model, adapter=self.merge_adapter)

    @property
    def limits(self) -> Limits:
        """What a statement may use."""
        return Limits(seconds=self.seconds, steps=int(self.seconds * STEPS_PER_SECOND))

    @property
    def revision_plan(self) -> SamplingPlan:
        """How many revisions are sampled, and how."""
        sampling = sampling_params(self.plan, self.revision.merge_template)
        return SamplingPlan(sampling=sampling, n=self.merge_n, seed=self.plan.seed)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and everything that led to it."""

    prediction: Prediction
    execution: Execution
    groups: Sequence[ResultGroup]
    candidates: Sequence[Candidate]
    revisions: Sequence[Candidate]
    tokens: int
    seconds: float

    @property
    def sql(self) -> str:
        return self.prediction.sql

    @property
    def columns(self) -> tuple[str, ...]:
        return self.execution.columns

    @property
    def rows(self) -> Sequence[Row]:
        """The first rows of the result; `execution.row_count` counts all."""
        return self.execution.rows


class Service:
    """The models, loaded once, and the executor.

    Args:
        options: how questions are answered.
        sampler: the generator; by default the options say which one is loaded.
    """

    def __init__(self, options: ServiceOptions, sampler: Sampler | None = None) -> None:
        if sampler is None:
            options = replace(options, sampler=with_model(options.sampler))
            check_sampler(options.sampler)
        self._options = options
        if options.merge_model:
            check_sampler(options.merge_sampler)  # before the generator loads for minutes
        self.executor = Executor(workers=options.workers or None, limits=options.limits)
        self._generator = Dispatcher(sampler or open_sampler(options.sampler), self.executor)
        self._merger: Dispatcher | None = self._generator if options.revise else None
        if options.merge_model:
            self._merger = Dispatcher(open_sampler(options.merge_sampler), self.executor)

    @property
    def is_alive(self) -> bool:
        """Whether the service can answer questions."""
        return self._generator.is_alive and (self._merger is None or self._merger.is_alive)

    def ask(self, question: Question, rows: int = ROWS) -> Reply:
        """Generate, vote, revise if the vote is in doubt, and run the chosen SQL.

        Args:
            question: what to answer, and its database.
            rows: number of rows of the result to return.

        Raises:
            RuntimeError: the sampler gave no answer.
            InputError, OSError, sqlite3.Error: the database is missing, damaged or being written.
        """
        start = time.monotonic()
        prompt = self._options.prompt
        plan = self._options.plan.plan_for(prompt.template)
        messages = build_prompt(question, prompt.prompt_settings).messages
        first = _sampled(self._generator, Task(question, messages, plan))
        if first.refusal:
            raise RuntimeError(first.refusal)
        prediction = vote(first.candidate_set)
        groups = group_by_result(first.candidate_set.candidates)
        second = self._revised(question, groups)
        if second is not None:
            settings = self._options.revision.revision_settings
            prediction = second_vote(question.id, groups, second.candidate_set.candidates, settings)
        statement = Statement(question.database, prediction.sql)
        (execution,) = self.executor.run([statement], preview=rows)
        return Reply(
            prediction=prediction,
            execution=execution,
            groups=groups,
            candidates=first.candidate_set.candidates,
            revisions=second.candidate_set.candidates if second else (),
            tokens=first.tokens + (second.tokens if second else 0),
            seconds=time.monotonic() - start,
        )

    def close(self) -> None:
        """Finish the questions under way, then free models and processes."""
        self._generator.close()
        if self._merger is not None and self._merger is not self._generator:
            self._merger.close()
        self.executor.close()

    def _revised(
        self, question: Question, groups: tuple[ResultGroup, ...]
    ) -> SampledQuestion | None:
        settings = self._options.revision.revision_settings
        if self._merger is None or not needs_revision(groups, settings):
            return None
        (messages,) = revision_prompts([Revision(question, groups)], self.executor, settings)
        return _sampled(self._merger, Task(question, messages, self._options.revision_plan))


def _sampled(dispatcher: Dispatcher, task: Task) -> SampledQuestion:
    sampled = dispatcher.ask(task).result()
    if sampled.error:
        raise sampled.cause or RuntimeError(sampled.error)
    return sampled


def make_question(text: str, database: Path, db_id: str, evidence: str = "") -> Question:
    """A question from text alone; its id, and so its seed, is a hash of what was asked."""
    identity = blake2b(f"{db_id}\0{text}\0{evidence}".encode(), digest_size=8).hexdigest()
    return Question(identity, text, db_id, database, evidence)
