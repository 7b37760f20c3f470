"""The card of a trained model: what it was made from, how, and how it scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slmsql.files import Record

SHOWN_ARGUMENTS = (
    *("use_peft", "lora_r", "lora_alpha", "load_in_4bit", "learning_rate", "lr_scheduler_type"),
    *("num_train_epochs", "max_steps", "global_batch", "max_length", "packing", "optim"),
    *("weight_decay", "seed", "rewards", "reward_weights", "match", "num_generations", "beta"),
    *("loss_type", "temperature", "max_completion_length"),
)
SCORES = ("eval_loss", "eval_ex_greedy", "eval_valid_sql", "eval_questions")
METHODS = {
    "sft": ("supervised fine-tuning", "sft/train.py"),
    "grpo": ("GRPO with execution rewards", "rl/grpo.py"),
}


def model_card(
    record: Record, history: Sequence[Mapping[str, Any]], *, method: str, rows: int
) -> str:
    """The card as Markdown with the hub's metadata.

    Args:
        record: the run's `run.json`: arguments, versions and the hash of the data.
        history: the trainer's log.
        method: a key of `METHODS`.
        rows: how many were trained on.
    """
    from huggingface_hub import ModelCard, ModelCardData

    arguments = record["arguments"]
    base = arguments["model_name_or_path"]
    title, program = METHODS[method]
    metadata = ModelCardData(
        base_model=None if Path(base).is_dir() else base,  # the hub refuses a folder's name
        library_name="transformers",
        tags=["text-to-sql", method],
    )
    data = {
        "file": arguments.get("data") or arguments.get("train_file"),
        "SHA-256": arguments["data_hash"],
        "rows (packs, where packed)": rows,
    }
    shown = {name: arguments[name] for name in SHOWN_ARGUMENTS if name in arguments}
    text = f"""\
---
{metadata.to_yaml()}
---
# Text-to-SQL model, {title}

Made from `{base}` by `{program}`; `run.json` beside this file has every argument.

## Data
{_table(data)}

## Training
{_table(shown)}

## Scores on held-out rows
{_table(_last_scores(history))}

## Versions
{_table(record["versions"])}
"""
    return str(ModelCard(text))


def _last_scores(history: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The last value of each score with its step, which may be later than the best checkpoint."""
    scores = {
        name: f"{entry[name]:.4g} at step {entry['step']}"
        for entry in history
        for name in SCORES
        if name in entry
    }
    return scores or {"scores": "none: the run had no evaluations"}


def _table(values: Mapping[str, Any]) -> str:
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in values.items())]
    return "\n".join(lines)
