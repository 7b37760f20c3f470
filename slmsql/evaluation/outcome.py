"""The outcome of each question, and the evaluation of all of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from slmsql.evaluation.diagnosis import ErrorClass
from slmsql.evaluation.metric import Metric, share
from slmsql.execution import Execution
from slmsql.match import Match
from slmsql.questions.question import Question
from slmsql.suites.neighbours.witness import Witness


@dataclass(frozen=True, slots=True)
class VoteGroup:
    """Candidates of a question with the same result, or all that failed, as in outcomes.jsonl.

    A summary of a `slmsql.consistency.voting.ResultGroup`, with its verdict.
    """

    sql: str
    votes: int
    correct: bool | None
    status: str
    """How they ended: "ok", or the status of the first one that failed."""


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Why an answer that is right on the benchmark's database is refused by its suite."""

    difference: ErrorClass
    """The first difference between the two queries."""
    witness: Witness


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one question was answered: both results, the verdicts and the scores."""

    question: Question
    sql: str
    predicted: Execution
    gold: Execution | None
    """None if the question has no gold query."""
    correct: Mapping[Match, bool] = field(default_factory=dict)
    """The verdict in each mode; empty if the question cannot be judged."""
    scores: Mapping[str, bool | float] = field(default_factory=dict)
    """Further metrics that are defined for this question: right or wrong, or between 0 and 1."""
    error_class: ErrorClass | None = None
    """Why the answer is wrong; None if it is not."""
    differences: tuple[ErrorClass, ...] = ()
    """All parts in which a wrong answer differs from the gold query, coarse ones first."""
    constructs: tuple[str, ...] = ()
    """The SQL constructs that the gold query uses."""
    groups: tuple[VoteGroup, ...] = ()
    """The candidates from which the prediction was chosen, best group first."""
    left_out: str | None = None
    """Why the question cannot be judged; None if it can."""
    coincidence: Coincidence | None = None
    """How a right answer fails on a neighbour; None if it does not, or no suite was asked."""

    @property
    def is_judged(self) -> bool:
        return self.left_out is None


@dataclass(frozen=True)
class Evaluation:
    """All outcomes of a run."""

    match: Match
    outcomes: tuple[Outcome, ...]
    missing: Mapping[Question, str] = field(default_factory=dict)
    """The questions without a usable database, each with the reason."""

    @cached_property
    def judged(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.is_judged]

    @property
    def left_out(self) -> Counter[str]:
        """Number of questions that no denominator includes, by reason."""
        reasons = Counter(o.left_out for o in self.outcomes if o.left_out is not None)
        return reasons + Counter(self.missing.values())

    @property
    def accuracy(self) -> Metric | None:
        """Execution accuracy in the mode of the run; None if no question could be judged."""
        verdicts = [outcome.correct[self.match] for outcome in self.judged]
        return share(verdicts, [outcome.question.db_id for outcome in self.judged])
