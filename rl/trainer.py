"""TRL's GRPO trainer with execution rewards.

Imports TRL, so import it only inside functions, after the program's options were checked. It
overrides private methods of TRL 1.16; each override's docstring says what TRL calls it for.
"""

import logging
import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from accelerate.utils import gather_object

from rewards import Judge
from rewards.completion import Completion, answer_of, pairs_of, text_of
from rewards.watch import Alarm, JudgedCompletion, raised_alarms, watch_metrics
from rl.base_trainer import CheckedGRPOTrainer
from rl.constraint import messages_key
from rl.rollouts import RolloutLog
from rl.validate import answer_rows
from rl.zero_variance import ZeroVarianceFilter, has_variance
from slmsql.execution import Pair
from slmsql.files import Record
from slmsql.match import Match
from slmsql.suites.neighbours.judging import SuiteVerdict
from slmsql.training.validation import AnsweredRow, Validation

logger = logging.getLogger(__name__)

Prompt = list[dict[str, str]]
EXECUTION_REWARDS = ("execution", "execution_suite", "execution_suite_share")


class ExecutionGRPOTrainer(CheckedGRPOTrainer):
    """Shares verdicts between rewards, keeps rollouts and watches for gaming.

    Args:
        judge: runs and judges the SQL; the reward functions use the same one.
        match: when a result is correct.
        rows: all rows that are trained on.
        reward_names: of the reward functions, in their order.
        rollouts: where this process's completions are kept.
        alarms: on the logged metrics.
        zero_variance_filter: replaces drawn rows; None trains on them as they are drawn.
        validation: execution accuracy on held-out rows, in the place of TRL's evaluation.
        trainer_arguments: those of `CheckedGRPOTrainer`.
    """

    def __init__(
        self,
        *,
        judge: Judge,
        match: Match,
        rows: Sequence[Record],
        reward_names: Sequence[str],
        rollouts: RolloutLog,
        alarms: Sequence[Alarm],
        zero_variance_filter: ZeroVarianceFilter | None,
        validation: Validation,
        **trainer_arguments: Any,
    ) -> None:
        self._judge = judge
        self._match = match
        self._rows_by_id = {row["id"]: row for row in rows}
        self._rows_by_prompt = {messages_key(row["prompt"]): row for row in rows}
        self._reward_names = reward_names
        self._rollouts = rollouts
        self._alarms = alarms
        self._filter = zero_variance_filter
        self._validation = validation
        super().__init__(**trainer_arguments)
        self._group_size = cast(int, self.num_generations)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer: log metrics, and print alarms."""
        super().log(logs, start_time)
        if self.accelerator.is_main_process:
            for alarm in raised_alarms(logs, self._alarms):
                logger.warning(
                    f"alarm at step {self.state.global_step}: {alarm.metric} is "
                    f"{logs[alarm.metric]:.2f}, above {alarm.threshold:g}: {alarm.meaning}"
                )

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Trainer: evaluate every `eval_steps`. Its metrics choose the best checkpoint."""
        model = cast(torch.nn.Module, self.model)
        model.eval()
        with torch.random.fork_rng():  # the next rollouts are sampled as if without a validation
            torch.manual_seed(self.args.seed + self.accelerator.process_index)
            with self._clock.part("validation"):
                metrics = self._validation.run(
                    self, self._answer, prefix=metric_key_prefix, at_once=self.use_vllm
                )
        self.log(dict(metrics))
        model.train()
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _answer(self, rows: Sequence[Record]) -> list[AnsweredRow]:
        return answer_rows(self, rows, self._validation.samples)

    def _generate_and_score_completions(self, inputs: list[Record]) -> dict[str, Any]:
        """TRL: a batch of rows, each once for every completion -> rewards and advantages."""
        return super()._generate_and_score_completions(self._replace_rows(inputs))

    def _replace_rows(self, inputs: list[Record]) -> list[Record]:
        """The drawn rows, with others in the place of those that the filter skips."""
        if self._filter is None or not self._is_training():
            return inputs
        drawn = self._group_ids(inputs)
        chosen = self._filter.replace(self.state.global_step + 1, drawn)
        replaced = sum(before != after for before, after in zip(drawn, chosen, strict=True))
        self._add_metric("groups/replaced", replaced / len(drawn))
        return [
            self._rows_by_id[chosen[self._group_of(index, inputs)]] for index in range(len(inputs))
        ]

    def _generate(self, prompts: list[Prompt]) -> tuple[Any, ...]:
        """TRL: prompts -> completions. Judging starts here, beside the log-probabilities."""
        output = super()._generate(prompts)
        _prompt_ids, _completion_ids, _tool_mask, completions, *_ = output
        rows = [self._rows_by_prompt.get(messages_key(prompt)) for prompt in prompts]
        if all(rows):
            # Rows with the same prompt and different gold SQL are judged again for their rewards.
            pairs = _pairs(completions, [row for row in rows if row])
            for match in (self._match, Match.STRICT):
                self._judge.start(pairs, match)
        return tuple(output)

    def _calculate_rewards(
        self,
        inputs: list[Record],
        prompts: list[Prompt],
        completions: list[Completion],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        """TRL: rewards of all processes, one column for each function, NaN for None."""
        with self._clock.part("reward"):
            rewards: torch.Tensor = super()._calculate_rewards(
                inputs, prompts, completions, completion_ids_list
            )
            self._keep_judged(inputs, completions, rewards)
        return rewards

    def _keep_judged(
        self, inputs: list[Record], completions: list[Completion], rewards: torch.Tensor
    ) -> None:
        """Log what the rewards tell, and keep the rollouts."""
        # TRL adds up the rewards that are left of a row: 0.1 for the format alone would be compared
        # with 1.1. Where one function gave no reward the row gets none.
        rewards[rewards.isnan().any(dim=1)] = float("nan")
        variance = self._record_variance(inputs, rewards)
        judged = self._judged(inputs, completions)
        self._log_completions(inputs, judged)
        if self._is_training():
            self._keep_rollouts(inputs, judged, rewards, variance)

    def _record_variance(self, inputs: list[Record], rewards: torch.Tensor) -> list[bool]:
        """Whether the rewards of each group of all processes differ; the filter is told."""
        weights = self.reward_weights.to(rewards.device)
        groups = (rewards * weights).sum(dim=1).view(-1, self._group_size)
        variance = [has_variance(group) for group in groups.tolist()]
        self._add_metric("groups/zero_variance", 1 - sum(variance) / len(variance))
        self._log_same_execution(rewards, variance)
        if self._filter is not None and self._is_training():
            self._filter.record(self.state.global_step + 1, self._group_ids(inputs), variance)
        return variance

    def _log_same_execution(self, rewards: torch.Tensor, variance: Sequence[bool]) -> None:
        """The share of groups whose rewards differ, but not in execution.

        `scale_rewards: group` divides by the group's own standard deviation. A difference of 0.1 in
        the format then weighs as much in the loss as one between right and wrong.
        """
        main = next((name for name in EXECUTION_REWARDS if name in self._reward_names), None)
        if main is None:
            return
        execution = rewards[:, self._reward_names.index(main)]
        groups = execution.view(-1, self._group_size).tolist()
        same = [
            differs and not has_variance(group)
            for differs, group in zip(variance, groups, strict=True)
        ]
        self._add_metric("groups/same_execution", sum(same) / len(same))

    def _judged(
        self, inputs: list[Record], completions: list[Completion]
    ) -> list[JudgedCompletion]:
        pairs = _pairs(completions, inputs)
        verdicts = self._judge.verdicts(pairs, self._match)
        strict_verdicts = self._judge.verdicts(pairs, Match.STRICT)
        suite_verdicts: Sequence[SuiteVerdict | None] = [None] * len(pairs)
        if self._judge.suites is not None:
            suite_verdicts = self._judge.suite_verdicts(pairs, self._match)
        return [
            JudgedCompletion(text_of(text), answer_of(text), verdict, strict_verdict, suite_verdict)
            for text, verdict, strict_verdict, suite_verdict in zip(
                completions, verdicts, strict_verdicts, suite_verdicts, strict=True
            )
        ]

    def _log_completions(self, inputs: list[Record], judged: Sequence[JudgedCompletion]) -> None:
        """Metrics that show gaming, and columns of TRL's table of completions."""
        for name, value in watch_metrics(judged).items():
            self._log_metric(name, value)
        self._log_completion_extra("id", [row["id"] for row in inputs])
        self._log_completion_extra("sql", [completion.answer.sql for completion in judged])

    def _keep_rollouts(
        self,
        inputs: list[Record],
        judged: Sequence[JudgedCompletion],
        rewards: torch.Tensor,
        variance: Sequence[bool],
    ) -> None:
        first = self.accelerator.process_index * len(inputs)
        own_rewards = rewards[first : first + len(inputs)].tolist()
        self._rollouts.append(
            {
                "step": self.state.global_step + 1,
                **_rollout(row, completion),
                "rewards": {
                    name: None if math.isnan(reward) else reward
                    for name, reward in zip(self._reward_names, row_rewards, strict=True)
                },
                "has_variance": variance[self._group_of(index, inputs)],
            }
            for index, (row, completion, row_rewards) in enumerate(
                zip(inputs, judged, own_rewards, strict=True)
            )
        )

    def _group_ids(self, inputs: list[Record]) -> list[str]:
        """The row id of each group of all processes; a group may lie on several processes."""
        ids: list[str] = gather_object([row["id"] for row in inputs])
        return ids[:: self._group_size]

    def _group_of(self, index: int, inputs: list[Record]) -> int:
        """To which group of all processes this process's completion at `index` belongs."""
        return int((self.accelerator.process_index * len(inputs) + index) // self._group_size)


def _pairs(completions: Sequence[Completion], rows: Sequence[Record]) -> list[Pair]:
    return pairs_of(
        completions, [row["gold_sql"] for row in rows], [row["database"] for row in rows]
    )


def _rollout(row: Record, completion: JudgedCompletion) -> Record:
    predicted = completion.verdict.predicted
    return {
        "id": row["id"],
        "completion": completion.text,
        "sql": completion.answer.sql,
        "status": str(predicted.status),
        "error": predicted.error,
        "correct": completion.verdict.correct,
        **_suite_fields(completion),
        "gold_sql": row["gold_sql"],
        "database": row["database"],
    }


def _suite_fields(completion: JudgedCompletion) -> Record:
    """Whether it was right by coincidence; nothing without a suite."""
    verdict = completion.suite_verdict
    return {} if verdict is None else {"coincidence": verdict.coincidence}
