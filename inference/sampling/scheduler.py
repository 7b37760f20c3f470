"""Drawing candidates: rounds of samples, executed while the next are generated, stopped early.

The loop keeps a window of questions in flight. Whatever the sampler finishes is run on threads
beside it; when the results are in, a question is either done, or asks for its next round or for a
repair of what failed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from inference.sampling.sampler import Completed, Request, Sample, Sampler, SamplingParams, seed_of
from slmsql.consistency.candidates import Candidate, CandidateSet, run_candidates
from slmsql.consistency.revision import repair_prompt
from slmsql.consistency.voting import COUNTING, Rules, group_by_result, is_decided
from slmsql.execution import Executor, Status
from slmsql.files import Record
from slmsql.prompt.answer import parse
from slmsql.prompt.build import Messages
from slmsql.questions.question import Question

WINDOW = 512  # questions in flight: enough to keep a large GPU busy, few enough to hold in memory


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How many candidates a question gets."""

    sampling: SamplingParams = SamplingParams()  # noqa: RUF009 - frozen
    n: int = 8
    round_size: int = 0
    """Candidates of a round; 0 draws all of them at once."""
    confidence: float = 1.0
    """A question stops after a round whose vote is this sure (`voting.is_decided`)."""
    repair: bool = False
    """Whether a candidate that fails is shown its error, once."""
    seed: int = 0
    rules: Rules = COUNTING


@dataclass(frozen=True, slots=True)
class Task:
    """A question, the prompt it is asked by, and how many candidates it gets."""

    question: Question
    messages: Messages
    plan: SamplingPlan


@dataclass(frozen=True, slots=True)
class SampledQuestion:
    """A question that is done; with an `error` it is not, and may be asked again later."""

    task: Task
    candidates: CandidateSet
    prompt_tokens: int
    tokens: int
    seconds: float
    """The sum of what its requests took the sampler."""
    error: str | None = None

    def as_record(self) -> Record:
        """One line of `candidates.jsonl`."""
        return self.candidates.as_record() | {
            "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True)
class _Live:
    """A question in flight."""

    task: Task
    number: int
    candidates: list[Candidate] = field(default_factory=list)
    repairing: dict[str, int] = field(default_factory=dict)  # request: place of the candidate
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
    over: bool = False

    @property
    def id(self) -> str:
        return self.task.question.id

    @property
    def plan(self) -> SamplingPlan:
        return self.task.plan

    def as_set(self, candidates: Sequence[Candidate]) -> CandidateSet:
        question = self.task.question
        return CandidateSet(question.id, question.db_id, question.database, tuple(candidates))


def draw(tasks: Iterable[Task], sampler: Sampler, executor: Executor) -> Iterator[SampledQuestion]:
    """Yield the questions with their executed candidates, in the order in which they are done.

    `tasks` is asked for more whenever there is room, also after it had none: a queue may stand
    behind it.
    """
    with ThreadPoolExecutor(executor.workers, thread_name_prefix="execution") as threads:
        yield from _Loop(iter(tasks), sampler, executor, threads).run()


class _Loop:
    """The state of `draw`: what waits, what is being sampled, what is being executed."""

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
        self._sampling: dict[str, _Live] = {}
        self._running: dict[Future[list[CandidateSet]], Callable[[CandidateSet], None]] = {}
        self._live = 0
        self._started = 0
        self._done: deque[SampledQuestion] = deque()

    def run(self) -> Iterator[SampledQuestion]:
        self._fill()
        while self._live:
            for completed in self._sampler.completed():
                self._take(completed)
            self._collect()
            while self._done:
                self._live -= 1
                yield self._done.popleft()
            self._fill()

    def _fill(self) -> None:
        while self._live < WINDOW and (task := next(self._tasks, None)) is not None:
            self._live += 1
            self._started += 1
            self._ask(_Live(task, self._started))

    def _ask(self, live: _Live) -> None:
        start = len(live.candidates)
        n = min(live.plan.round_size or live.plan.n, live.plan.n - start)
        seed = seed_of(live.plan.seed, live.id) + start
        key = f"{live.id}/{start}/{live.number}"
        self._submit(live, Request(key, live.task.messages, n, seed, live.plan.sampling))

    def _submit(self, live: _Live, request: Request) -> None:
        self._sampling[request.key] = live
        self._sampler.submit(request)

    def _take(self, completed: Completed) -> None:
        live = self._sampling.pop(completed.key)
        live.prompt_tokens += completed.prompt_tokens
        live.tokens += sum(sample.tokens for sample in completed.samples)
        live.seconds += completed.seconds
        if completed.error and completed.temporary:
            live.error = completed.error
        candidates = [_candidate(sample) for sample in completed.samples]
        if completed.error and not completed.temporary:
            candidates.append(Candidate(None, status=Status.ERROR, error=completed.error))
            live.over = True
        if completed.key in live.repairing:
            self._execute(live, candidates, lambda ran: self._repaired(live, completed.key, ran))
        else:
            self._execute(live, candidates, lambda ran: self._ran(live, ran))

    def _execute(
        self, live: _Live, candidates: Sequence[Candidate], then: Callable[[CandidateSet], None]
    ) -> None:
        future = self._threads.submit(run_candidates, [live.as_set(candidates)], self._executor)
        self._running[future] = then

    def _collect(self) -> None:
        """Go on with what has been executed; wait a little where there is nothing else to do."""
        patience = None if not self._sampling else 0.0
        if not self._running:
            return
        for future in wait(self._running, patience, FIRST_COMPLETED).done:
            self._running.pop(future)(future.result()[0])

    def _ran(self, live: _Live, ran: CandidateSet) -> None:
        start = len(live.candidates)
        live.candidates += ran.candidates
        if live.plan.repair and not live.over:
            for place in range(start, len(live.candidates)):
                self._ask_repair(live, place)
        self._advance(live)

    def _ask_repair(self, live: _Live, place: int) -> None:
        candidate = live.candidates[place]
        if candidate.ok or candidate.sql is None:
            return
        seed = seed_of(live.plan.seed, f"{live.id}/repair/{place}")
        key = f"{live.id}/repair/{place}/{live.number}"
        live.repairing[key] = place
        messages = repair_prompt(live.task.messages, candidate)
        self._submit(live, Request(key, messages, 1, seed, live.plan.sampling))

    def _repaired(self, live: _Live, key: str, ran: CandidateSet) -> None:
        place = live.repairing.pop(key)
        failed = live.candidates[place]
        if ran.candidates and ran.candidates[0].ok:
            live.candidates[place] = replace(ran.candidates[0], repaired=failed.sql)
        self._advance(live)

    def _advance(self, live: _Live) -> None:
        if live.repairing:
            return
        remaining = 0 if live.over or live.error else live.plan.n - len(live.candidates)
        groups = group_by_result(live.candidates, live.plan.rules)
        if remaining > 0 and not is_decided(groups, remaining, live.plan.confidence):
            self._ask(live)
            return
        self._done.append(
            SampledQuestion(
                task=live.task,
                candidates=live.as_set(live.candidates),
                prompt_tokens=live.prompt_tokens,
                tokens=live.tokens,
                seconds=live.seconds,
                error=live.error,
            )
        )


def _candidate(sample: Sample) -> Candidate:
    return Candidate(parse(sample.text).sql, sample.text, logprob=sample.logprob)
