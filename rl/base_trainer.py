"""TRL's GRPO trainer with less work in a step, a clock, and a vLLM that is checked.

Imports TRL, so import it only inside functions, after the program's options were checked. It
overrides private methods of TRL 1.16; each override's docstring says what TRL calls it for.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, cast

import torch
from transformers import TrainerCallback
from trl import GRPOTrainer

from rl.batches import Batch, by_length, cut, logprobs_by_length
from rl.constraint import RolloutConstraint
from rl.correction import METRICS, Correction
from rl.step_clock import StepClock
from slmsql.files import Record
from slmsql.grammar.constraint import Constraints
from slmsql.training.merging import keep_frozen_weights
from slmsql.training.weight_sync import TEXT, WeightSync, model_logprobs

LogprobFunction = Callable[..., tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]]


class CheckedGRPOTrainer(GRPOTrainer):
    """Checks after syncs that vLLM has the trained weights, and logs where the time goes.

    Batches have rows of similar length without needless padding, and vLLM's correction needs no
    forward pass of its own where the update follows the generation at once.

    Args:
        sync_tolerance: largest mean difference of vLLM's log-probabilities of a fixed text from the
            trainer's.
        sync_timeout: seconds that vLLM may take to load the weights.
        constrained_rows: those whose completions are constrained to names of their databases: all
            that are trained on or validated, or none.
        trainer_arguments: those of TRL's trainer.
    """

    def __init__(
        self,
        *,
        sync_tolerance: float,
        sync_timeout: float,
        constrained_rows: Sequence[Record] = (),
        **trainer_arguments: Any,
    ) -> None:
        super().__init__(**trainer_arguments)
        self._constraint = self._make_constraint(constrained_rows) if constrained_rows else None
        self._skips_next_pass = False
        self._clock = StepClock()
        self.add_callback(_ClockCallback(self))
        if not self.use_vllm:
            return
        self._correction = Correction(
            self.vllm_importance_sampling_mode,
            self.vllm_importance_sampling_clip_min,
            self.vllm_importance_sampling_clip_max,
        )
        generation: Any = self.vllm_generation
        keep_frozen_weights(generation)
        tokenizer: Any = self.processing_class
        self._weight_sync = WeightSync(
            generation,
            tokenizer.encode(TEXT, add_special_tokens=False),
            partial(model_logprobs, self),
            tolerance=sync_tolerance,
            timeout=sync_timeout,
        )
        generation.sync_weights = self._sync_weights  # an engine that sleeps calls it, too

    def _make_constraint(self, rows: Sequence[Record]) -> RolloutConstraint:
        model: Any = self.model
        width = model.config.get_text_config().vocab_size
        constraints = Constraints(self.processing_class, width, self.eos_token_ids)
        return RolloutConstraint(constraints, rows)

    def training_step(self, *arguments: Any, **named: Any) -> torch.Tensor:
        """Trainer: one forward and backward pass, with a generation before it when one is due."""
        self._clock.update()
        # TRL's method has no types.
        loss: torch.Tensor = super().training_step(*arguments, **named)  # type: ignore[no-untyped-call]
        return loss

    def start_clock(self) -> None:
        """The training begins: what was before counts for no step."""
        self._clock = StepClock()

    def log_step_times(self) -> None:
        """The step ends: log the seconds of its parts."""
        seconds = self._clock.end_step()
        for part, value in seconds.items():
            self._add_metric(f"time/{part}", value)
        whole = sum(seconds.values()) - seconds["validation"]
        self._add_metric("time/reward_share", seconds["reward"] / whole)

    def _generate_and_score_completions(self, inputs: list[Record]) -> dict[str, Any]:
        """TRL: a batch of rows, each once for every completion -> rewards and advantages."""
        self._skips_next_pass = self._corrects_in_the_update
        with self._clock.part("rollout"):
            output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self._corrects_in_the_update:
            # What TRL made of the log-probabilities that it did not get.
            del output["old_per_token_logps"], output["importance_sampling_ratio"]
            for name in METRICS:
                self._metrics["train"][name].pop()
        return output

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[Any, ...]:
        """TRL: the prompts as tokens, also for the validation."""
        tokenized: tuple[Any, ...] = super()._tokenize_prompts(prompts)
        if self._constraint is not None:
            self._constraint.note(prompts, tokenized[0])
        return tokenized

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *arguments: Any, **named: Any
    ) -> tuple[Any, ...]:
        """TRL: the completions of prompts, also for the validation."""
        generate: Any = super()._generate_single_turn
        if self._constraint is None:
            generating: Any = nullcontext()
        elif self.use_vllm:
            generating = self._constraint.generating_in_vllm(self.vllm_generation.llm)
        else:
            model = self.accelerator.unwrap_model(self.model_wrapped)
            generating = self._constraint.generating(model, prompt_ids)
        with generating:
            completions: tuple[Any, ...] = generate(prompt_ids, *arguments, **named)
        return completions

    @property
    def _corrects_in_the_update(self) -> bool:
        """Whether the pass of the update gives the log-probabilities for vLLM's correction.

        That is so if every update follows its own generations at once.
        """
        arguments: Any = self.args
        generate_every = arguments.steps_per_generation * self.num_iterations
        return (
            self._is_training()
            and self.use_vllm
            and bool(self.vllm_importance_sampling_correction)
            and arguments.gradient_accumulation_steps % generate_every == 0
        )

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """TRL: the loss of a batch."""
        self._loss_inputs = inputs
        # TRL's method has no types.
        loss: torch.Tensor = super()._compute_loss(model, inputs)  # type: ignore[no-untyped-call]
        if self._corrects_in_the_update and self.accelerator.sync_gradients:
            summaries = self.accelerator.gather(self._correction.summary()[None])
            for place, (name, combine) in enumerate(METRICS.items()):
                self._add_metric(name, combine(summaries[:, place]).item())
        return loss

    def _correct(self, logprobs: torch.Tensor) -> None:
        """Put vLLM's correction into the batch whose loss is being computed."""
        batch = self._loss_inputs
        batch["importance_sampling_ratio"] = self._correction.ratio(
            logprobs, batch["sampling_per_token_logps"], batch["completion_mask"]
        )

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        """TRL: the next batch, after a generation if one is due. Sorts the batches by length."""
        before = self._buffered_inputs
        inputs: dict[str, Any] = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is before:
            return inputs
        batches = cast(list[Batch], self._buffered_inputs)
        if self._is_any_order():
            batches = by_length(batches, self.args.gradient_accumulation_steps)
        self._buffered_inputs = [cut(batch) for batch in batches]
        return self._buffered_inputs[self._step % len(batches)]

    def _is_any_order(self) -> bool:
        """Whether the loss of an update is the same however its rows are divided into batches."""
        return (
            self.loss_type != "bnpo"
            and self.top_entropy_quantile == 1
            and not self._entropy_bonus_enabled
        )

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **named: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """TRL: log-probabilities, of completions before the update or in the update itself."""
        score: LogprobFunction = self._score_tokens
        if torch.is_grad_enabled() or not batch_size:
            found = score(model, input_ids, attention_mask, logits_to_keep, batch_size, **named)
            if self._corrects_in_the_update:
                self._correct(found[0])
            return found
        if self._skips_next_pass:
            self._skips_next_pass = False
            unknown = torch.full((len(input_ids), logits_to_keep), math.nan)
            return unknown.to(input_ids.device), None, None

        def logprobs(ids: torch.Tensor, mask: torch.Tensor, kept: int) -> torch.Tensor:
            return score(model, ids, mask, kept, **named)[0]

        with self._clock.part("logprobs"):
            values = logprobs_by_length(
                logprobs, input_ids, attention_mask, logits_to_keep, batch_size
            )
        return values, None, None

    def _score_tokens(
        self,
        model: Any,
        ids: torch.Tensor,
        mask: torch.Tensor,
        kept: int,
        batch_size: int | None = None,
        **named: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """TRL's log-probabilities, under the constraint if there is one."""
        score: LogprobFunction = super()._get_per_token_logps_and_entropies
        scoring = self._constraint.scoring(ids, mask, kept) if self._constraint else nullcontext()
        with scoring:
            return score(model, ids, mask, kept, batch_size, **named)

    def _sync_weights(self) -> None:
        """TRL: send the weights to vLLM. Raises InputError if vLLM does not have them then."""
        with self._clock.part("sync"):
            report = self._weight_sync.run()
        if report.difference is not None:
            self._add_metric("sync/logprob_difference", report.difference)
        self._add_metric("sync/check_seconds", report.check_seconds)

    def _is_training(self) -> bool:
        return self.model is not None and self.model.training

    def _add_metric(self, name: str, value: float) -> None:
        """Add a value of this process, averaged over the steps between two logs."""
        self._metrics["train" if self._is_training() else "eval"][name].append(value)


class _ClockCallback(TrainerCallback):
    """Tells the trainer when the training and when a step begins and ends."""

    def __init__(self, trainer: CheckedGRPOTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._trainer.start_clock()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._trainer.log_step_times()
