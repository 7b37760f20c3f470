"""The end of a run: save the model, write its card, and upload it to the hub where asked to."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from slmsql.errors import InputError
from slmsql.files import Record, write_text
from slmsql.training.checkpoints import output_folder
from slmsql.training.model_card import model_card
from slmsql.training.shutdown import end_together

if TYPE_CHECKING:
    from transformers import Trainer

ATTEMPTS = 5
NOT_PUBLISHED = [
    *("checkpoint-*/*", "runs/*", "training_args.bin", "samples.jsonl", ".cache/*"),
    *("rollouts/*", "gold/*"),
]


def finish(
    trainer: "Trainer", record: Record, *, method: str, rows: int, is_published: bool
) -> None:
    """Save the trained model with its card, and upload it if `is_published`.

    The caller has set the trainer's own `push_to_hub` to false: it would upload in the middle.

    Args:
        record: the run's `run.json`.
        method: `sft` or `grpo`.
        rows: how many were trained on.
    """
    trainer.save_model()
    trainer.save_state()  # the log history, which scripts/report.py plots
    end_together(trainer.accelerator)  # an upload may take longer than other processes would wait
    if not trainer.is_world_process_zero():
        return
    folder, arguments = output_folder(trainer.args), trainer.args
    card = model_card(record, trainer.state.log_history, method=method, rows=rows)
    write_text(folder / "README.md", card)
    if is_published:
        publish(
            folder,
            name=arguments.hub_model_id or folder.name,
            private=bool(arguments.hub_private_repo),
            token=arguments.hub_token,
        )


def publish(folder: Path, *, name: str, private: bool, token: str | None) -> None:
    """Upload a folder; a later call, too, sends only the files that have not arrived.

    Raises:
        InputError: it failed `ATTEMPTS` times. The folder is unchanged.
    """
    from httpx import HTTPError
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            # `name` may lack the owner, which the hub's answer has.
            repo = api.create_repo(name, private=private, exist_ok=True).repo_id
            api.upload_folder(repo_id=repo, folder_path=folder, ignore_patterns=NOT_PUBLISHED)
            return
        except (HTTPError, OSError, RuntimeError) as error:  # RuntimeError: a file's upload failed
            reason = " ".join(str(error).split())
            print(f"push to {name}, attempt {attempt} of {ATTEMPTS}: {reason:.200}")
            time.sleep(2.0**attempt)
    raise InputError(f"{folder} could not be pushed to {name}: {reason:.200}; run it again later")
