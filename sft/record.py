"""What a run was: its arguments, versions and data, beside its output as `run.json`."""

from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmsql.errors import InputError
from slmsql.files import Record, file_hash, read_json, write_json

if TYPE_CHECKING:
    from trl import ModelConfig, SFTConfig

FILE = "run.json"
PACKAGES = ("accelerate", "peft", "torch", "transformers", "trl")

# What decides the weights: going on under other values would be neither the old run nor a new one.
DECISIVE = (
    "model_name_or_path", "use_peft", "lora_r", "lora_alpha", "lora_dropout",
    "lora_target_modules", "load_in_4bit", "seed", "data_seed", "learning_rate",
    "lr_scheduler_type", "warmup_steps", "weight_decay", "optim",
    "adam_beta1", "adam_beta2", "max_grad_norm", "num_train_epochs", "max_steps",
    "max_length", "packing", "bf16", "fp16", "global_batch", "data_hash",
)  # fmt: skip


def describe(options: Any, training: "SFTConfig", model: "ModelConfig") -> Record:
    """Everything needed to run it again, as plain JSON."""
    arguments = {**_plain(options), **_plain(model), **training.to_sanitized_dict()}
    arguments["global_batch"] = (
        training.per_device_train_batch_size
        * training.gradient_accumulation_steps
        * training.world_size
    )
    arguments["data_hash"] = file_hash(options.data)
    return {"arguments": arguments, "versions": {name: version(name) for name in PACKAGES}}


def check_same_run(record: Record, output: Path) -> None:
    """Refuse to go on with a run under settings that would have given other weights.

    Raises:
        InputError: with each setting that differs.
    """
    if not (output / FILE).is_file():
        return
    before = read_json(output / FILE)["arguments"]
    now = record["arguments"]
    differing = [
        f"{name} was {before.get(name)}, is {now.get(name)}"
        for name in DECISIVE
        if before.get(name) != now.get(name)
    ]
    if differing:
        raise InputError(
            f"{output} holds a run with other settings ({'; '.join(differing)}); "
            "take another --output_dir, or remove its checkpoints to start anew"
        )


def write_record(record: Record, output: Path) -> None:
    write_json(output / FILE, record)


def _plain(options: Any) -> Record:
    values = {field.name: vars(options)[field.name] for field in fields(options)}
    simple = (bool, int, float, str, list, type(None))
    return {name: v if isinstance(v, simple) else str(v) for name, v in values.items()}
