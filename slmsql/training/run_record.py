"""What a run was made from: arguments, versions and data, in `run.json` beside its output.

A run resumes only under the settings it began with. With others the result would be neither the
old run nor a new one.
"""

from collections.abc import Iterable
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmsql.errors import InputError
from slmsql.execution import fingerprint
from slmsql.files import Record, file_hash, read_json_object, write_json

if TYPE_CHECKING:
    from transformers import TrainingArguments
    from trl import ModelConfig

FILE = "run.json"
PACKAGES = ("accelerate", "deepspeed", "peft", "slmsql", "torch", "transformers", "trl", "vllm")

# The settings that decide the weights, of both programs.
DECISIVE = (
    "model_name_or_path", "use_peft", "lora_r", "lora_alpha", "lora_dropout",
    "lora_target_modules", "load_in_4bit", "bnb_4bit_compute_dtype", "dtype",
    "seed", "data_seed", "learning_rate",
    "lr_scheduler_type", "warmup_steps", "weight_decay", "optim",
    "adam_beta1", "adam_beta2", "max_grad_norm", "num_train_epochs", "max_steps",
    "bf16", "fp16", "global_batch", "data_hash",
    # SFT
    "max_length", "packing", "completion_only_loss", "seconds",
    # GRPO
    "rewards", "reward_weights", "match", "beta", "loss_type", "epsilon", "epsilon_high",
    "scale_rewards", "importance_sampling_level", "use_bias_correction_kl",
    "num_generations", "num_iterations", "steps_per_generation",
    "generation_batch_size", "temperature", "top_p", "top_k", "min_p", "repetition_penalty",
    "max_prompt_length", "max_completion_length", "mask_truncated_completions",
    "skip_zero_variance", "constrain",
)  # fmt: skip


def describe(
    options: Any,
    training: "TrainingArguments",
    model: "ModelConfig",
    *,
    data: Path,
    databases: Iterable[str] = (),
) -> Record:
    """Everything needed to run it again, as plain JSON.

    Args:
        options: the program's own dataclass of options.
        data: the file of rows to train on.
        databases: on which its rows are run; their fingerprints are recorded.
    """
    arguments = {**_plain(options), **_plain(model), **training.to_sanitized_dict()}
    arguments["global_batch"] = (
        training.per_device_train_batch_size
        * training.gradient_accumulation_steps
        * training.world_size
    )
    arguments["data_hash"] = file_hash(data)
    return {
        "arguments": arguments,
        "versions": _versions(),
        "databases": {name: fingerprint(Path(name)) for name in sorted(set(databases))},
    }


def check_same_run(record: Record, output: Path) -> None:
    """Check that a run resumes under the settings and on the databases it began with.

    Raises:
        InputError: naming everything that differs; or the record of the run is malformed.
    """
    if not (output / FILE).is_file():
        return
    before = read_json_object(output / FILE)
    arguments, databases = before.get("arguments"), before.get("databases", {})
    if not isinstance(arguments, dict) or not isinstance(databases, dict):
        raise InputError(f"{output / FILE}: not the record of a training")
    differences = [
        f"{name} was {arguments.get(name)}, is {record['arguments'].get(name)}"
        for name in DECISIVE
        if arguments.get(name) != record["arguments"].get(name)
    ]
    differences += [
        f"{name} has changed since this run began"
        for name, content in record.get("databases", {}).items()
        if databases.get(name, content) != content
    ]
    if differences:
        raise InputError(
            f"{output} holds a run with other settings ({'; '.join(differences)}); "
            "take another --output_dir, or remove its checkpoints to start anew"
        )


def write_record(record: Record, output: Path) -> None:
    write_json(output / FILE, record)


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _plain(options: Any) -> Record:
    values = {field.name: vars(options)[field.name] for field in fields(options)}
    simple = (bool, int, float, str, list, type(None))
    return {name: v if isinstance(v, simple) else str(v) for name, v in values.items()}
