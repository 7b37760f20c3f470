"""Rewards for what happens when the SQL runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.completion import Completion, pairs_of
from rewards.judge import SHARED, Judge
from slmsql.match import Match

LogMetric = Callable[[str, float], None]
LogExtra = Callable[[str, list[Any]], None]


def silent(name: str, value: Any) -> None:
    """Stands in for TRL's loggers where a reward is called by hand."""


@dataclass(frozen=True)
class ExecutionReward:
    """1 if the query gives the gold query's result, 0 if not: the published main reward.

    SLM-SQL and CSC-SQL call it `execute_accuracy` and weigh it 1.0. No SQL, SQL that fails, is
    refused, takes too long or returns too much is 0. Where the machine failed and nothing can be
    said of the SQL it is None.
    """

    match: Match = Match.BIRD
    judge: Judge = SHARED
    __name__ = "execution_reward"  # what TRL calls its metric

    def __call__(
        self,
        completions: Sequence[Completion],
        gold_sql: Sequence[str],
        database: Sequence[str],
        *,
        log_metric: LogMetric = silent,
        log_extra: LogExtra = silent,
        **_: Any,
    ) -> list[float | None]:
        verdicts = self.judge.verdicts(pairs_of(completions, gold_sql, database), self.match)
        log_extra("status", [str(verdict.predicted.status) for verdict in verdicts])
        log_metric("judge/faults", float(sum(verdict.correct is None for verdict in verdicts)))
        return [None if v.correct is None else float(v.correct) for v in verdicts]


@dataclass(frozen=True)
class ExecutableReward:
    """1 if the query runs within the limits, whatever it returns.

    Counterpart: the execution reward of SQL-R1 and the syntax check of Reasoning-SQL. On its own
    it teaches `SELECT 1`; keep its weight far below that of `execution`.
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
        return [None if v.correct is None else float(v.predicted.ok) for v in verdicts]


execution_reward = ExecutionReward()
executable_reward = ExecutableReward()
