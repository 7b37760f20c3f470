"""The answers of a validation - question, SQL, verdict - as a table in the run's trackers."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from slmsql.files import Record

if TYPE_CHECKING:
    from transformers import TrainerCallback

COLUMNS = ("id", "question", "sql", "correct", "status", "error")


def show_samples(
    callbacks: "Iterable[TrainerCallback]", samples: Sequence[Record], step: int
) -> None:
    """Send the samples to TensorBoard as text, to Weights & Biases and trackio as a table."""
    from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback

    rows = [[_cell(sample[column]) for column in COLUMNS] for sample in samples]
    for callback in callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.tb_writer:
            callback.tb_writer.add_text("samples", as_markdown(samples), step)
        elif isinstance(callback, WandbCallback):
            import wandb

            shown = wandb.Table(columns=list(COLUMNS), data=rows)
            wandb.log({"samples": shown, "train/global_step": step})
        elif isinstance(callback, TrackioCallback):
            import trackio

            table = trackio.Table(columns=list(COLUMNS), data=rows)
            trackio.log({"samples": table, "train/global_step": step})


def as_markdown(samples: Sequence[Record]) -> str:
    """A table with one line for each sample."""
    rows = [list(COLUMNS), ["---"] * len(COLUMNS)]
    for sample in samples:
        rows.append([_cell(sample[column]).replace("|", r"\|") for column in COLUMNS])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: object) -> str:
    """One line, of characters that UTF-8 has."""
    text = " ".join(str("" if value is None else value).split())
    return text.encode(errors="backslashreplace").decode()
