"""Rewards for what happens when the SQL runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.completion import Completion, pairs_of
from rewards.judge import SHARED, Judge
from slmsql.match import Match
from slmsql.suites.neighbours.judging import SuiteVerdict

LogMetric = Callable[[str, float], None]
LogExtra = Callable[[str, list[Any]], None]


def ignore(name: str, value: Any) -> None:
    """Replaces TRL's loggers when a reward is called outside a trainer."""


@dataclass(frozen=True)
class ExecutionReward:
    """The main reward: 1 if the query returns the gold query's result, else 0.

    SLM-SQL and CSC-SQL publish it as `execute_accuracy` with weight 1.0. A completion without SQL
    earns 0; so does SQL that fails, is refused, takes too long or returns too much. The reward is
    None only if a fault of the machine left the query without a verdict.
    """

    match: Match = Match.BIRD
    judge: Judge = SHARED
    __name__ = "execution_reward"  # TRL names its metric after it

    def __call__(
        self,
        completions: Sequence[Completion],
        gold_sql: Sequence[str],
        database: Sequence[str],
        *,
        log_metric: LogMetric = ignore,
        log_extra: LogExtra = ignore,
        **_: Any,
    ) -> list[float | None]:
        verdicts = self.judge.verdicts(pairs_of(completions, gold_sql, database), self.match)
        log_extra("status", [str(verdict.predicted.status) for verdict in verdicts])
        log_metric("judge/faults", float(sum(verdict.correct is None for verdict in verdicts)))
        return [None if verdict.correct is None else float(verdict.correct) for verdict in verdicts]


@dataclass(frozen=True)
class SuiteReward:
    """1 if the query returns the gold query's result on its database and on all its neighbours.

    A query that is right by coincidence, such as `age >= 30` for `age > 30` where nobody is 30,
    earns nothing. A row without a suite is paid as by `ExecutionReward`.

    Args:
        graded: pay the share of the databases on which the result is right, and still nothing if
            it is wrong on the row's own.
    """

    match: Match
    judge: Judge
    graded: bool = False

    @property
    def __name__(self) -> str:
        return "execution_suite_share_reward" if self.graded else "execution_suite_reward"

    def __call__(
        self,
        completions: Sequence[Completion],
        gold_sql: Sequence[str],
        database: Sequence[str],
        *,
        log_metric: LogMetric = ignore,
        log_extra: LogExtra = ignore,
        **_: Any,
    ) -> list[float | None]:
        pairs = pairs_of(completions, gold_sql, database)
        plain = ExecutionReward(self.match, self.judge)(
            completions, gold_sql, database, log_metric=log_metric, log_extra=log_extra
        )
        return [
            reward if verdict is None else self._paid(verdict)
            for reward, verdict in zip(
                plain, self.judge.suite_verdicts(pairs, self.match), strict=True
            )
        ]

    def _paid(self, verdict: SuiteVerdict) -> float:
        return verdict.agreed / verdict.databases if self.graded else float(verdict.right)


@dataclass(frozen=True)
class ExecutableReward:
    """1 if the query runs within the limits, whatever it returns.

    Compare the execution reward of SQL-R1 and the syntax check of Reasoning-SQL. Alone it teaches
    `SELECT 1`: keep its weight far below that of `execution`.
    """

    match: Match = Match.BIRD
    judge: Judge = SHARED
    __name__ = "executable_reward"

    def __call__(
        self,
        completions: Sequence[Completion],
        gold_sql: Sequence[str],
        database: Sequence[str],
        **_: Any,
    ) -> list[float | None]:
        verdicts = self.judge.verdicts(pairs_of(completions, gold_sql, database), self.match)
        return [
            None if verdict.correct is None else float(verdict.predicted.ok) for verdict in verdicts
        ]


execution_reward = ExecutionReward()
executable_reward = ExecutableReward()
