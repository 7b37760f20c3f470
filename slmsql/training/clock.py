"""Training for a given time: the learning rate and the end follow the clock, not the steps.

On a machine whose speed is not known beforehand, a schedule over steps either ends too early or is
cut off while the learning rate is still high. Here the rate warms up over `warmup_steps` and then
falls to zero as a cosine of the time that has passed.

The time before a kill counts up to the last checkpoint: it is saved with the scheduler, since torch
saves the attributes of a callable.
"""

import math
import time
from typing import TYPE_CHECKING, Any, cast

from slmsql.errors import InputError

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from transformers import (
        Trainer,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
    )


class Clock:
    """How much of a training's time has passed, in seconds; called for the learning rate."""

    def __init__(self, seconds: float, warmup_steps: float) -> None:
        self.seconds = seconds
        self.warmup_steps = warmup_steps
        self.spent = 0.0

    def __call__(self, step: int) -> float:
        """The learning rate after some steps, as a share of its peak."""
        warm_up = min((step + 1) / (self.warmup_steps + 1), 1.0)
        return warm_up * (1 + math.cos(math.pi * min(self.spent / self.seconds, 1.0))) / 2


def check_schedule(seconds: float, training: "TrainingArguments") -> None:
    """Check that a training for a given time has a schedule that can follow the clock.

    Raises:
        InputError: it has another one.
    """
    if seconds < 0:
        raise InputError(f"--seconds must not be negative, got {seconds:g}")
    if seconds and training.lr_scheduler_type != "cosine":
        raise InputError("with --seconds the learning rate is a cosine: --lr_scheduler_type cosine")


def follow_clock(trainer: "Trainer", seconds: float) -> None:
    """Let a trainer train for `seconds`; call it before the training begins."""
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import ProgressCallback

    clock = Clock(seconds, trainer.args.warmup_steps)

    def create_scheduler(
        num_training_steps: int, optimizer: "Optimizer | None" = None
    ) -> "LRScheduler":
        trainer.lr_scheduler = LambdaLR(cast("Optimizer", optimizer or trainer.optimizer), clock)
        return trainer.lr_scheduler

    vars(trainer)["create_scheduler"] = create_scheduler
    trainer.add_callback(_clock_callback(clock))
    if not trainer.args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(_seconds_bar(clock))


def _clock_callback(clock: Clock) -> "TrainerCallback":
    """Let the clock run while the trainer trains, and end the training when its time is over."""
    from transformers import TrainerCallback

    class ClockCallback(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self._seen = time.monotonic()

        def on_optimizer_step(
            self,
            args: "TrainingArguments",
            state: "TrainerState",
            control: "TrainerControl",
            **_: Any,
        ) -> None:
            now = time.monotonic()
            clock.spent = _of_main_process(clock.spent + now - self._seen, args)
            self._seen = now

        def on_step_end(
            self,
            args: "TrainingArguments",
            state: "TrainerState",
            control: "TrainerControl",
            **_: Any,
        ) -> None:
            control.should_training_stop |= clock.spent >= clock.seconds

    return ClockCallback()


def _seconds_bar(clock: Clock) -> "TrainerCallback":
    """A progress bar of seconds; the trainer's own counts steps that the clock does not leave."""
    from tqdm.auto import tqdm
    from transformers import ProgressCallback

    class SecondsBar(ProgressCallback):
        training_bar: Any

        def on_train_begin(
            self, args: Any, state: "TrainerState", control: "TrainerControl", **_: Any
        ) -> None:
            if state.is_world_process_zero:
                self.training_bar = tqdm(
                    total=clock.seconds,
                    initial=clock.spent,
                    bar_format="{percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s{postfix}",
                    dynamic_ncols=True,
                )

        def on_step_end(
            self, args: Any, state: "TrainerState", control: "TrainerControl", **_: Any
        ) -> None:
            if state.is_world_process_zero:
                self.training_bar.set_postfix_str(f"step {state.global_step}", refresh=False)
                self.training_bar.update(min(clock.spent, clock.seconds) - self.training_bar.n)

    return SecondsBar()


def _of_main_process(seconds: float, args: "TrainingArguments") -> float:
    """All processes need the same time, or their weights would differ."""
    import torch
    from accelerate.utils import broadcast

    return float(broadcast(torch.tensor(seconds, device=args.device)))
