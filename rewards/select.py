"""The rewards by the names that configs use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rewards.execution import ExecutableReward, ExecutionReward
from rewards.format import format_reward
from rewards.judge import Judge
from rewards.length import LengthReward
from rewards.linking import components_reward, linking_reward
from slmsql.errors import InputError
from slmsql.match import Match

Reward = Callable[..., list[float | None]]


@dataclass(frozen=True)
class Terms:
    """What the rewards of a run are made with."""

    match: Match
    judge: Judge
    max_completion_length: int


REWARDS: dict[str, Callable[[Terms], Reward]] = {
    "execution": lambda terms: ExecutionReward(terms.match, terms.judge),
    "format": lambda terms: format_reward,
    "executable": lambda terms: ExecutableReward(terms.match, terms.judge),
    "linking": lambda terms: linking_reward,
    "components": lambda terms: components_reward,
    "length": lambda terms: LengthReward(terms.max_completion_length),
}


def make_rewards(
    names: Sequence[str], *, match: Match, judge: Judge, max_completion_length: int = 1024
) -> list[Reward]:
    """The reward functions of these names, all with one judge.

    Raises:
        InputError: an unknown name, or one that stands twice.
    """
    check_names(names)
    terms = Terms(match, judge, max_completion_length)
    return [REWARDS[name](terms) for name in names]


def check_names(names: Sequence[str]) -> None:
    """Refuse names that are no rewards, before anything is started."""
    if unknown := sorted(set(names) - set(REWARDS)):
        raise InputError(f"unknown rewards {unknown}; expected some of {sorted(REWARDS)}")
    if len(set(names)) < len(names):
        raise InputError(f"a reward stands twice in {list(names)}")
