"""What became of each question, and of all of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from slmsql.evaluation.diagnosis import ErrorClass
from slmsql.evaluation.metric import Metric, share
from slmsql.execution import Execution
from slmsql.match import Match
from slmsql.questions.question import Question


@dataclass(frozen=True, slots=True)
class Group:
    """Candidates of a question with the same result."""

    sql: str
    votes: int
    correct: bool | None
    status: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question."""

    question: Question
    sql: str
    predicted: Execution
    gold: Execution | None
    """None where the question has no gold query."""
    correct: Mapping[Match, bool] = field(default_factory=dict)
    """By each mode; empty where the question cannot be judged."""
    scores: Mapping[str, bool | float] = field(default_factory=dict)
    """Further metrics that are defined for it: right or wrong, or between 0 and 1."""
    error_class: ErrorClass | None = None
    """Why it is wrong; None where it is not."""
    differences: tuple[ErrorClass, ...] = ()
    """All parts in which a wrong answer differs from the gold query."""
    constructs: tuple[str, ...] = ()
    """What the gold query uses of SQL."""
    groups: tuple[Group, ...] = ()
    """The candidates that the prediction was chosen from, best group first."""
    left_out: str | None = None
    """Why it cannot be judged."""

    @property
    def is_judged(self) -> bool:
        return self.left_out is None


@dataclass(frozen=True)
class Evaluation:
    """All outcomes of a run."""

    match: Match
    outcomes: tuple[Outcome, ...]
    missing: tuple[Question, ...]
    """Questions without a database file."""

    @cached_property
    def judged(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.is_judged]

    @property
    def left_out(self) -> Counter[str]:
        """How many questions are in no denominator, by reason."""
        reasons = Counter(o.left_out for o in self.outcomes if o.left_out is not None)
        return reasons + Counter({"no database": len(self.missing)})

    @property
    def accuracy(self) -> Metric | None:
        """Execution accuracy in the mode of the run; None where nothing could be judged."""
        return share([outcome.correct[self.match] for outcome in self.judged])
