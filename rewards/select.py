"""The rewards by the names that configs use.

To add a reward, write a function in the form of `rewards/format.py` and add its name to `REWARDS`.
`rl/grpo.py --rewards` and `scripts/rescore.py --rewards` then accept it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rewards.execution import ExecutableReward, ExecutionReward, SuiteReward
from rewards.format import format_reward
from rewards.judge import Judge
from rewards.length import LengthReward
from rewards.linking import components_reward, linking_reward
from slmsql.errors import InputError
from slmsql.match import Match

Reward = Callable[..., list[float | None]]


@dataclass(frozen=True)
class RewardSettings:
    """The settings of a run that rewards depend on."""

    match: Match
    judge: Judge
    max_completion_length: int
    """In tokens."""


REWARDS: dict[str, Callable[[RewardSettings], Reward]] = {
    "execution": lambda settings: ExecutionReward(settings.match, settings.judge),
    "execution_suite": lambda settings: SuiteReward(settings.match, settings.judge),
    "execution_suite_share": lambda settings: SuiteReward(
        settings.match, settings.judge, graded=True
    ),
    "format": lambda settings: format_reward,
    "executable": lambda settings: ExecutableReward(settings.match, settings.judge),
    "linking": lambda settings: linking_reward,
    "components": lambda settings: components_reward,
    "length": lambda settings: LengthReward(settings.max_completion_length),
}


SUITE_REWARDS = {"execution_suite", "execution_suite_share"}


def make_rewards(
    names: Sequence[str], *, match: Match, judge: Judge, max_completion_length: int = 1024
) -> list[Reward]:
    """The reward functions with these names. All of them share one judge.

    Raises:
        InputError: a name is unknown or given twice, or a reward needs suites and there are none.
    """
    check_reward_names(names)
    if judge.suites is None and (needing := sorted(set(names) & SUITE_REWARDS)):
        raise InputError(f"the reward {needing[0]} needs --suites DIR (scripts/make_neighbours.py)")
    settings = RewardSettings(match, judge, max_completion_length)
    return [REWARDS[name](settings) for name in names]


def check_reward_names(names: Sequence[str]) -> None:
    """Raise `InputError` if a name is unknown or given twice."""
    if unknown := sorted(set(names) - set(REWARDS)):
        raise InputError(f"unknown rewards {unknown}; expected some of {sorted(REWARDS)}")
    if len(set(names)) < len(names):
        raise InputError(f"a reward is given twice in {list(names)}")
