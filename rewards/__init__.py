"""Reward functions in TRL's contract: one number for each completion, None leaves it out.

    from rewards import execution_reward

    execution_reward(
        completions=[[{"role": "assistant", "content": "<answer>SELECT 2</answer>"}]],
        gold_sql=["SELECT 1 + 1"],
        database=["shop/shop.sqlite"],
    )  # [1.0]

Rows bring `gold_sql` and `database`. The verdict is that of `slmsql.execution`, as in the
evaluation: what GRPO optimises is what is reported. `trl grpo --reward_funcs
rewards.execution_reward rewards.format_reward` takes them too; `rl/grpo.py` adds what TRL lacks.

The default is the published pair: execution with weight 1.0 and format with weight 0.1.
"""

from rewards.execution import (
    ExecutableReward,
    ExecutionReward,
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
    "TooManyFaultsError",
    "components_reward",
    "executable_reward",
    "execution_reward",
    "format_reward",
    "length_reward",
    "linking_reward",
    "make_rewards",
]
