"""What trackers get besides metrics: the run's record, the card of its data and its rollouts.

In Weights & Biases, a training that resumes stays one run. Without this, each start of a killed and
resumed training would be a run of its own. The run's id stands in `run.json`. Other trackers take
the training's folder or name as the run.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from slmsql.files import Record, read_json
from slmsql.training.checkpoints import output_folder
from slmsql.training.run_record import FILE

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

RUN_ID = "wandb_run_id"


def start_wandb(record: Record, training: "TrainingArguments", *, resumes: bool) -> None:
    """Start the run, or resume it under its id; call it on the main process, once.

    The trainer uses the run that is there. It does nothing unless `report_to` names wandb.

    Args:
        record: gets the id; write it to `run.json` afterwards.
        resumes: the training resumes from a checkpoint.
    """
    if "wandb" not in (training.report_to or ()):
        return
    import wandb

    file = output_folder(training) / FILE
    before = read_json(file).get(RUN_ID) if resumes and file.is_file() else None
    record[RUN_ID] = os.environ.get("WANDB_RUN_ID") or before or uuid4().hex[:8]
    if wandb.run is None:
        wandb.init(
            project=os.environ.get("WANDB_PROJECT", "huggingface"),  # the trainer's own default
            name=training.run_name,
            id=record[RUN_ID],
            resume="allow",
        )


def track(trainer: "Trainer", record: Record, data: Path, rollouts: Path | None = None) -> None:
    """Give wandb and trackio what the run is made from and, at its end, its rollouts.

    Their configuration gets `run` (`run.json`) and `data_card`, if the rows have a card beside
    them. The rollouts become the artifact `rollouts-ID`. Call it on every process.

    Args:
        data: the file of rows to train on.
        rollouts: folder that all processes write to.
    """
    from transformers import TrainerCallback

    config = {"run": record}
    card = data.with_name(f"{data.name}.card.json")
    if card.is_file():
        config["data_card"] = read_json(card)

    class Describe(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:  # the trackers have begun their run by now
                _describe(config, args.report_to)
            trainer.remove_callback(self)

    class KeepRollouts(TrainerCallback):
        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            trainer.accelerator.wait_for_everyone()  # each process has written its own
            if state.is_world_process_zero and rollouts is not None:
                _keep(rollouts, args.report_to)

    trainer.add_callback(Describe())
    # First, because trackio's own callback ends its run.
    trainer.callback_handler.callbacks.insert(0, KeepRollouts())


def _describe(config: Record, trackers: Sequence[str]) -> None:
    if "wandb" in trackers:
        import wandb

        wandb.config.update(config, allow_val_change=True)  # type: ignore[no-untyped-call]
    if "trackio" in trackers:
        import trackio

        trackio.config.update(config)


def _keep(rollouts: Path, trackers: Sequence[str]) -> None:
    """Attach a folder of rollouts to the runs."""
    if "wandb" in trackers:
        import wandb

        if run := wandb.run:
            artifact = wandb.Artifact(f"rollouts-{run.id}", type="rollouts")
            artifact.add_dir(str(rollouts))
            run.log_artifact(artifact)
    if "trackio" in trackers:
        import trackio

        if current := trackio.context_vars.current_run.get():
            trackio.log_artifact(rollouts, name=f"rollouts-{current.id}", type="rollouts")
