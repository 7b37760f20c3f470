"""The scheduler: samples candidates in rounds, runs their SQL meanwhile, and stops early.

A window of questions is in flight. When the sampler completes a round of a question, threads run
the SQL while the sampler goes on with other questions. With the results, the question is done, or
asks for its next round, or for the repair of candidates that failed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import count

from slmsql.consistency.candidates import Candidate, CandidateSet, run_candidates
from slmsql.consistency.revision import repair_prompt
from slmsql.consistency.voting import COUNTING, VotingRules, group_by_result, is_decided
from slmsql.errors import InputError
from slmsql.execution import Executor, Status
from slmsql.files import Record
from slmsql.match import Match
from slmsql.prompt.answer import parse
from slmsql.prompt.build import Messages
from slmsql.questions.question import Question
from slmsql.sampling.sampler import Completed, Request, Sample, Sampler, SamplingParams, seed_of

WINDOW = 512  # questions in flight: enough to keep a large GPU busy, few enough for memory

# Numbers the questions of this process, so that no two requests have the same key.
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How many candidates a question gets, and when to stop."""

    sampling: SamplingParams = SamplingParams()  # noqa: RUF009 - frozen
    n: int = 8
    round_size: int = 0
    """Number of candidates per round; 0: all in one round."""
    confidence: float = 1.0
    """Sampling stops after a round whose vote is this certain (`voting.is_decided`)."""
    repair: bool = False
    """Whether the model corrects each candidate that fails, once, given its error."""
    seed: int = 0
    rules: VotingRules = COUNTING
    match: Match = Match.BIRD
    """When two results agree, in the vote that may stop the sampling."""


@dataclass(frozen=True, slots=True)
class Task:
    """A question, its prompt, and the plan of its candidates."""

    question: Question
    messages: Messages
    plan: SamplingPlan


@dataclass(frozen=True, slots=True)
class SampledQuestion:
    """A question with its executed candidates.

    With an `error` it is incomplete and can be asked again. With a `refusal` it is final: the model
    does not take its prompt.
    """

    task: Task
    candidate_set: CandidateSet
    prompt_tokens: int
    tokens: int
    seconds: float
    """The sampler's time for its requests, summed."""
    error: str | None = None
    cause: Exception | None = None
    """What running the SQL raised, such as for a database that is damaged."""
    fatal: bool = False
    """Whether other questions will meet the same error, such as after a wrong API key."""
    refusal: str | None = None
    """Why there is no completion, such as because the prompt is too long."""

    def as_record(self) -> Record:
        """One line of `candidates.jsonl`; `refused` only if the model refused the prompt."""
        record = self.candidate_set.as_record() | {
            "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
        }
        if self.task.plan.sampling.constrain:
            record["constrain"] = "schema"
        return record | {"refused": self.refusal} if self.refusal else record


@dataclass(slots=True)
class _QuestionInFlight:
    """The state of a question between its first request and its last result."""

    task: Task
    number: int
    """Tells two tasks with the same question apart."""
    candidates: list[Candidate] = field(default_factory=list)
    voters: list[Candidate] = field(default_factory=list)
    """The same candidates with the digests of the plan's match mode."""
    repairs: dict[str, int] = field(default_factory=dict)
    """Index of the candidate that each pending repair request replaces."""
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
    cause: Exception | None = None
    fatal: bool = False
    refusal: str | None = None
    exhausted: bool = False
    """No further sample can succeed, such as after a prompt that is too long."""

    @property
    def id(self) -> str:
        return self.task.question.id

    @property
    def plan(self) -> SamplingPlan:
        return self.task.plan

    def as_set(self, candidates: Sequence[Candidate]) -> CandidateSet:
        question, plan = self.task.question, self.plan
        stops_early = 0 < plan.round_size < plan.n
        return CandidateSet(
            question.id,
            question.db_id,
            question.database,
            tuple(candidates),
            first_round=plan.round_size if stops_early else None,
        )


@dataclass(frozen=True, slots=True)
class _Executed:
    """Candidates that have run: with digests of mode `bird`, as files have them, and to vote."""

    candidates: tuple[Candidate, ...] = ()
    voters: tuple[Candidate, ...] = ()


_Then = Callable[[_QuestionInFlight, str, _Executed], None]


@dataclass(frozen=True, slots=True)
class _Execution:
    """SQL that runs, and what happens with its results."""

    question: _QuestionInFlight
    key: str
    """Of the request that gave the SQL."""
    then: _Then


def draw(tasks: Iterable[Task], sampler: Sampler, executor: Executor) -> Iterator[SampledQuestion]:
    """Sample and run the candidates of each task; yield the questions as they are done.

    Args:
        tasks: asked for more whenever the window has room, even after it was empty once, so that
            it may read from a queue.
        sampler: where completions come from.
        executor: where the SQL runs.
    """
    with ThreadPoolExecutor(executor.workers, thread_name_prefix="execution") as threads:
        yield from _Scheduler(iter(tasks), sampler, executor, threads).run()


class _Scheduler:
    """The state of `draw`: tasks that wait, requests being sampled, SQL being executed."""

    def __init__(
        self,
        tasks: Iterator[Task],
        sampler: Sampler,
        executor: Executor,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._tasks = tasks
        self._sampler = sampler
        self._executor = executor
        self._threads = threads
        self._sampling: dict[str, _QuestionInFlight] = {}
        self._running: dict[Future[_Executed], _Execution] = {}
        self._in_flight = 0
        self._done: deque[SampledQuestion] = deque()

    def run(self) -> Iterator[SampledQuestion]:
        self._fill()
        while self._in_flight:
            for completed in self._sampler.completed():
                self._take(completed)
            self._collect()
            while self._done:
                self._in_flight -= 1
                yield self._done.popleft()
            self._fill()

    def _fill(self) -> None:
        while self._in_flight < WINDOW and (task := next(self._tasks, None)) is not None:
            self._in_flight += 1
            self._request_round(_QuestionInFlight(task, next(_numbers)))

    def _request_round(self, question: _QuestionInFlight) -> None:
        start = len(question.candidates)
        n = min(question.plan.round_size or question.plan.n, question.plan.n - start)
        seed = seed_of(question.plan.seed, question.id) + start
        key = f"{question.id}/{start}/{question.number}"
        self._submit(question, self._request(question, key, question.task.messages, n, seed))

    def _request(
        self, question: _QuestionInFlight, key: str, messages: Messages, n: int, seed: int
    ) -> Request:
        database = question.task.question.database
        return Request(key, messages, n, seed, question.plan.sampling, database)

    def _submit(self, question: _QuestionInFlight, request: Request) -> None:
        self._sampling[request.key] = question
        self._sampler.submit(request)

    def _take(self, completed: Completed) -> None:
        question = self._sampling.pop(completed.key, None)
        if question is None:  # it belongs to a run of the scheduler that an error ended
            return
        question.prompt_tokens += completed.prompt_tokens
        question.tokens += sum(sample.tokens for sample in completed.samples)
        question.seconds += completed.seconds
        if completed.key in question.repairs:  # if it failed, the candidate stays as it is
            self._execute(question, completed, self._replace_repaired)
            return
        if completed.error and completed.temporary:
            question.error, question.fatal = completed.error, completed.fatal
        elif completed.error:
            question.exhausted = True
            if not question.candidates and not completed.samples:
                question.refusal = completed.error
        self._execute(question, completed, self._add_candidates)

    def _execute(self, question: _QuestionInFlight, completed: Completed, then: _Then) -> None:
        future = self._threads.submit(self._executed, question, completed)
        self._running[future] = _Execution(question, completed.key, then)

    def _executed(self, question: _QuestionInFlight, completed: Completed) -> _Executed:
        candidates = [_candidate(sample) for sample in completed.samples]
        if completed.error and not completed.temporary:
            candidates.append(Candidate(None, status=Status.ERROR, error=completed.error))
        ran = run_candidates([question.as_set(candidates)], self._executor)
        (voting,) = run_candidates(ran, self._executor, question.plan.match)
        return _Executed(ran[0].candidates, voting.candidates)

    def _collect(self) -> None:
        """Take the results of finished executions; wait for one if nothing is being sampled."""
        patience = None if not self._sampling else 0.0
        if not self._running:
            return
        for future in wait(self._running, patience, FIRST_COMPLETED).done:
            execution = self._running.pop(future)
            question = execution.question
            try:
                ran = future.result()
            except Exception as error:  # it belongs to this question: the others go on
                question.error, question.cause = _description(error), error
                ran = _Executed()
            execution.then(question, execution.key, ran)

    def _add_candidates(self, question: _QuestionInFlight, _key: str, ran: _Executed) -> None:
        start = len(question.candidates)
        question.candidates += ran.candidates
        question.voters += ran.voters
        if question.plan.repair and not question.exhausted:
            for index in range(start, len(question.candidates)):
                self._request_repair(question, index)
        self._advance(question)

    def _request_repair(self, question: _QuestionInFlight, index: int) -> None:
        candidate = question.candidates[index]
        if candidate.ok or candidate.sql is None:
            return
        seed = seed_of(question.plan.seed, f"{question.id}/repair/{index}")
        key = f"{question.id}/repair/{index}/{question.number}"
        question.repairs[key] = index
        messages = repair_prompt(question.task.messages, candidate)
        self._submit(question, self._request(question, key, messages, 1, seed))

    def _replace_repaired(self, question: _QuestionInFlight, key: str, ran: _Executed) -> None:
        index = question.repairs.pop(key)
        failed = question.candidates[index]
        if ran.candidates and ran.candidates[0].ok:
            question.candidates[index] = replace(ran.candidates[0], repaired=failed.sql)
            question.voters[index] = ran.voters[0]
        self._advance(question)

    def _advance(self, question: _QuestionInFlight) -> None:
        if question.repairs:
            return
        remaining = question.plan.n - len(question.candidates)
        if question.exhausted or question.error:
            remaining = 0
        groups = group_by_result(question.voters, question.plan.rules)
        if remaining > 0 and not is_decided(groups, remaining, question.plan.confidence):
            self._request_round(question)
            return
        self._done.append(
            SampledQuestion(
                task=question.task,
                candidate_set=question.as_set(question.candidates),
                prompt_tokens=question.prompt_tokens,
                tokens=question.tokens,
                seconds=question.seconds,
                error=question.error,
                cause=question.cause,
                fatal=question.fatal,
                refusal=question.refusal,
            )
        )


def _description(error: Exception) -> str:
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"


def _candidate(sample: Sample) -> Candidate:
    sql = parse(sample.text).sql
    return Candidate(sql, sample.text, logprob=sample.logprob, finish=sample.finish)
