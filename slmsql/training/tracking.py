"""Weights & Biases: a resumed run stays one run, and the rollouts are kept with it.

Without this, each start of a killed and resumed training would be a run of its own. The run's id
stands in `run.json`. Other trackers take the training's folder or name as the run.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from slmsql.files import Record, read_json
from slmsql.training.checkpoints import output_folder
from slmsql.training.run_record import FILE

if TYPE_CHECKING:
    from transformers import TrainingArguments

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


def keep_rollouts(folder: Path) -> None:
    """Attach a folder of rollouts to the run as an artifact, if there is a run."""
    import wandb

    if wandb.run is None:
        return
    artifact = wandb.Artifact(f"rollouts-{wandb.run.id}", type="rollouts")
    artifact.add_dir(str(folder))
    wandb.run.log_artifact(artifact)
