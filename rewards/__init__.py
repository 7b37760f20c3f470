"""Reward functions for GRPO, in TRL's form: one number for each completion, or None to skip it.

    from rewards import execution_reward

    execution_reward(
        completions=[[{"role": "assistant", "content": "<answer>SELECT 2</answer>"}]],
        gold_sql=["SELECT 1 + 1"],
        database=["shop/shop.sqlite"],
    )  # [1.0]

The columns `gold_sql` and `database` come from the training rows. `slmsql.execution` judges the
SQL, in training as in the evaluation: what GRPO optimises is what is reported. The rewards also
work in TRL's own program (`trl grpo --reward_funcs rewards.execution_reward`).

This package imports `slmsql`, but neither torch nor TRL. `rl/grpo.py` uses execution (weight 1.0)
and format (weight 0.1) by default, as published. To add a reward, see `rewards/select.py`.
"""

from rewards.execution import (
    ExecutableReward,
    ExecutionReward,
    SuiteReward,
    executable_reward,
    execution_reward,
)
from rewards.format import format_reward
from rewards.judge import Judge, TooManyFaultsError
from rewards.length import LengthReward, length_reward
from rewards.linking import components_reward, linking_reward
from rewards.select import REWARDS, Reward, make_rewards

__all__ = [
    "REWARDS",
    "ExecutableReward",
    "ExecutionReward",
    "Judge",
    "LengthReward",
    "Reward",
    "SuiteReward",
    "TooManyFaultsError",
    "components_reward",
    "executable_reward",
    "execution_reward",
    "format_reward",
    "length_reward",
    "linking_reward",
    "make_rewards",
]
