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

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from trl import SFTTrainer


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


def clock_trainer(clock: Clock) -> "type[SFTTrainer]":
    """TRL's trainer with a learning rate that the clock decides."""
    from torch.optim.lr_scheduler import LambdaLR
    from trl import SFTTrainer

    class ClockTrainer(SFTTrainer):
        def create_scheduler(
            self, num_training_steps: int, optimizer: "Optimizer | None" = None
        ) -> "LRScheduler":
            schedule = LambdaLR(cast("Optimizer", optimizer or self.optimizer), clock)
            self.lr_scheduler = schedule
            return schedule

    return ClockTrainer


def clock_callback(clock: Clock) -> "TrainerCallback":
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


def _of_main_process(seconds: float, args: "TrainingArguments") -> float:
    """All processes need the same time, or their weights would differ."""
    import torch
    from accelerate.utils import broadcast

    return float(broadcast(torch.tensor(seconds, device=args.device)))
