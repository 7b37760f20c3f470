"""What GRPO on execution rewards adds to TRL's trainer.

`Trainer(ExecutionTraining, GRPOTrainer)` is put together in `rl/grpo.py`, so that this module needs
no trainer to be imported. It relies on private methods of TRL 1.16, each named where it is used.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rewards import Judge
from rewards.completion import answer_of, pairs_of, text_of
from rewards.watch import Alarm, JudgedCompletion, raised_alarms, watch_metrics
from rl.groups import Resting
from rl.rollouts import RolloutLog
from slmsql.execution import Pair
from slmsql.files import Record
from slmsql.match import Match

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


@dataclass
class Setup:
    """What the trainer needs beside TRL's arguments."""

    judge: Judge
    match: Match
    reward_names: Sequence[str]
    rollouts: RolloutLog
    alarms: Sequence[Alarm] = ()
    rows: Sequence[Record] = ()
    resting: Resting | None = None
    """Replaces rows whose groups teach nothing; None leaves the rows as they are drawn."""


class ExecutionTraining:
    """Shares verdicts between rewards, keeps rollouts, watches for gaming, measures time."""

    def set_up(self, setup: Setup) -> None:
        """Call once, before `train`."""
        self._setup = setup
        self._by_id = {row["id"]: row for row in setup.rows}
        self._drawn: list[Record] = []
        self._reward_seconds = 0.0
        self._step_seconds = [0.0, 0.0]  # rewards, all

    def training_step(self, *arguments: Any, **named: Any) -> "torch.Tensor":
        started = time.perf_counter()
        loss = super().training_step(*arguments, **named)
        self._step_seconds[1] += time.perf_counter() - started
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the share of the rewards in the time of a step, and sounds alarms."""
        if self.model.training and self._step_seconds[1]:
            logs["time/reward_share"] = self._step_seconds[0] / self._step_seconds[1]
            self._step_seconds = [0.0, 0.0]
        super().log(logs, start_time)
        if self.accelerator.is_main_process:
            for alarm in raised_alarms(logs, self._setup.alarms):
                value = logs[alarm.metric]
                logger.warning(
                    f"alarm at step {self.state.global_step}: {alarm.metric} is {value:.2f}, above "
                    f"{alarm.threshold:g}: {alarm.meaning}"
                )

    def _generate_and_score_completions(self, inputs: list[Record]) -> dict[str, Any]:
        """TRL: one batch of rows -> completions, rewards, advantages."""
        self._drawn = self._with_replacements(inputs)
        self._reward_seconds = 0.0
        started = time.perf_counter()
        output = super()._generate_and_score_completions(self._drawn)
        seconds = time.perf_counter() - started
        self._add("time/rollout", seconds - self._reward_seconds)
        self._add("time/reward", self._reward_seconds)
        self._step_seconds[0] += self._reward_seconds
        return output

    def _with_replacements(self, inputs: list[Record]) -> list[Record]:
        resting = self._setup.resting
        if resting is None or not self.model.training:
            return inputs
        drawn = self._everywhere([row["id"] for row in inputs])
        size = self.num_generations
        groups = drawn[::size]
        chosen = resting.choose(self.state.global_step + 1, groups)
        self._add(
            "groups/replaced",
            sum(a != b for a, b in zip(groups, chosen, strict=True)) / len(groups),
        )
        first = self.accelerator.process_index * len(inputs)
        return [self._by_id[chosen[(first + place) // size]] for place in range(len(inputs))]

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        """TRL: prompts -> completions. Judging starts here, beside the log-probabilities."""
        output = super()._generate(prompts)
        for match in (self._setup.match, Match.STRICT):
            self._setup.judge.start(self._pairs(output[3]), match)
        return output

    def _calculate_rewards(
        self, inputs: list[Record], prompts: list[Any], completions: list[Any], ids: list[Any]
    ) -> "torch.Tensor":
        """TRL: rewards of all processes, one column for each function, NaN for None."""
        started = time.perf_counter()
        rewards = super()._calculate_rewards(inputs, prompts, completions, ids)
        # TRL adds up what is left of a row that one function left out: 0.1 for the format would
        # then be compared with 1.1. A row that was not judged is left out whole.
        rewards[rewards.isnan().any(dim=1)] = float("nan")
        self._watch(inputs, completions, rewards, self._look_at_groups(inputs, rewards))
        self._reward_seconds = time.perf_counter() - started
        return rewards

    def _watch(
        self,
        inputs: list[Record],
        completions: list[Any],
        rewards: "torch.Tensor",
        varied: list[bool],
    ) -> None:
        """Keep this process's rollouts, and figures that show whether the reward is gamed."""
        setup, first = self._setup, self.accelerator.process_index * len(inputs)
        pairs = self._pairs(completions)
        verdicts = setup.judge.verdicts(pairs, setup.match)
        strictly = setup.judge.verdicts(pairs, Match.STRICT)
        watched = [
            JudgedCompletion(text_of(completion), answer_of(completion), verdict, strict_verdict)
            for completion, verdict, strict_verdict in zip(
                completions, verdicts, strictly, strict=True
            )
        ]
        for name, value in watch_metrics(watched).items():
            self._log_metric(name, value)
        self._log_completion_extra("id", [row["id"] for row in inputs])
        self._log_completion_extra("sql", [judged.answer.sql for judged in watched])
        if not self.model.training:
            return
        paid = rewards[first : first + len(inputs)].tolist()
        setup.rollouts.append(
            {
                "step": self.state.global_step + 1,
                **_record(row, one),
                "rewards": dict(zip(setup.reward_names, map(_or_none, of), strict=True)),
                "taught": varied[(first + place) // self.num_generations],
            }
            for place, (row, one, of) in enumerate(zip(inputs, watched, paid, strict=True))
        )

    def _look_at_groups(self, inputs: list[Record], rewards: "torch.Tensor") -> list[bool]:
        """Whether the rewards of each group differ; remembered for the choice of rows."""
        weights = self.reward_weights.to(rewards.device)
        groups = (rewards * weights).sum(dim=1).view(-1, self.num_generations)
        varied = [has_variance(group) for group in groups.tolist()]
        self._add("groups/zero_variance", 1 - sum(varied) / len(varied))
        if self._setup.resting is not None and self.model.training:
            ids = self._everywhere([row["id"] for row in inputs])[:: self.num_generations]
            self._setup.resting.learn(self.state.global_step + 1, ids, varied)
        return varied

    def _pairs(self, completions: list[Any]) -> list[Pair]:
        rows = self._drawn
        return pairs_of(
            completions, [row["gold_sql"] for row in rows], [row["database"] for row in rows]
        )

    def _everywhere(self, ids: list[str]) -> list[str]:
        """The ids of all processes, in their order."""
        from accelerate.utils import gather_object

        return gather_object(ids)

    def _add(self, name: str, value: float) -> None:
        """A figure of this process, averaged over the steps between two logs."""
        self._metrics["train" if self.model.training else "eval"][name].append(value)


def has_variance(rewards: Sequence[float]) -> bool:
    """Whether a group teaches something; completions that were not judged (NaN) do not count."""
    judged = [reward for reward in rewards if reward == reward]
    return bool(judged) and max(judged) - min(judged) > 1e-6


def _record(row: Record, watched: JudgedCompletion) -> Record:
    predicted = watched.verdict.predicted
    return {
        "id": row["id"],
        "completion": watched.text,
        "sql": watched.answer.sql,
        "status": str(predicted.status),
        "error": predicted.error,
        "correct": watched.verdict.correct,
        "gold_sql": row["gold_sql"],
        "database": row["database"],
    }


def _or_none(reward: float) -> float | None:
    return reward if reward == reward else None
