"""The model card and data card of a run: what it was made from, how, and how it scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slmsql.files import Record

SHOWN = (
    *("use_peft", "lora_r", "lora_alpha", "load_in_4bit", "learning_rate", "lr_scheduler_type"),
    *("num_train_epochs", "max_steps", "global_batch", "max_length", "packing", "optim"),
    *("weight_decay", "seed"),
)
SCORES = ("eval_loss", "eval_execution_accuracy", "eval_valid_sql", "eval_questions")


def model_card(record: Record, history: Sequence[Mapping[str, Any]], rows: int) -> str:
    """The card as Markdown.

    Args:
        record: what `describe` gave: arguments, versions and the hash of the data.
        history: the trainer's log.
        rows: how many were trained on.
    """
    arguments = record["arguments"]
    return "\n".join(
        [
            "---",
            *_base(arguments["model_name_or_path"]),
            "library_name: transformers",
            "tags: [text-to-sql, sft]",
            "---",
            "# Text-to-SQL model, supervised fine-tuning",
            "",
            f"Made from `{arguments['model_name_or_path']}` by `sft/train.py`; `run.json` beside "
            "this file has every argument.",
            "",
            "## Data",
            *_table(
                {
                    "file": arguments["data"],
                    "SHA-256": arguments["data_hash"],
                    "rows (packs, where packed)": rows,
                }
            ),
            "",
            "## Training",
            *_table({name: arguments[name] for name in SHOWN if name in arguments}),
            "",
            "## Scores on held-out rows",
            *_table(_last(history)),
            "",
            "## Versions",
            *_table(record["versions"]),
            "",
        ]
    )


def _base(name: str) -> list[str]:
    """The base as the hub may know it: it refuses a card that names a folder."""
    return [] if Path(name).is_dir() else [f"base_model: {name}"]


def _last(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last value of each score, with its step; of the run's end, not of a kept checkpoint."""
    found = {}
    for entry in history:
        for name in SCORES:
            if name in entry:
                found[name] = f"{entry[name]:.4g} at step {entry['step']}"
    return found or {"scores": "none: the run had no evaluations"}


def _table(values: Mapping[str, Any]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in values.items())]
