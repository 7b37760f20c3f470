"""What happens at the trainer's events: scoring at evaluations, completing checkpoints."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.checkpoints import mark_complete, remove_old

if TYPE_CHECKING:
    from transformers import TrainerState
    from trl import SFTTrainer

    from sft.scoring import Scorer


def attach(trainer: "SFTTrainer", *, keep: int | None, scorer: "Scorer | None") -> None:
    """Add our callbacks to a trainer.

    Args:
        keep: how many checkpoints stay, the best not counted among the removed; None: all.
        scorer: scores the model at each evaluation.
    """
    from transformers import TrainerCallback

    class Hooks(TrainerCallback):
        def on_evaluate(self, *_: Any, metrics: dict[str, float], **__: Any) -> None:
            if scorer is not None:
                scorer.score(trainer, metrics)

        def on_save(self, _: Any, state: "TrainerState", *__: Any, **___: Any) -> None:
            finish_checkpoint(trainer, state, keep)

    trainer.add_callback(Hooks())


def finish_checkpoint(trainer: "SFTTrainer", state: "TrainerState", keep: int | None) -> None:
    """Mark the checkpoint of this step complete once every process wrote its part of it."""
    output = Path(str(trainer.args.output_dir))
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        mark_complete(output / f"checkpoint-{state.global_step}")
        remove_old(output, keep, state.best_model_checkpoint)
