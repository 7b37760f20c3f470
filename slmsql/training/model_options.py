"""Check precision, before a model is loaded or a row is encoded."""

from typing import TYPE_CHECKING, Any

from slmsql.errors import InputError

if TYPE_CHECKING:
    from transformers import TrainingArguments
    from trl import ModelConfig

# Settings in `optim_args` with which an optimizer loses no small updates of 16-bit weights.
KEEPS_SMALL_UPDATES = ("bf16_stochastic_round", "kahan_sum", "use_kahan_summation")


def check_precision(training: "TrainingArguments", model: "ModelConfig") -> None:
    """Check that the weights that are trained can hold small updates.

    A bfloat16 weight has 8 significant bits, so an update below 0.2 % of it is rounded away. At a
    learning rate of 1e-6 that is almost every update. DeepSpeed's 16-bit optimizers keep a float32
    copy of the weights, and adapters are float32.

    Raises:
        InputError: whole 16-bit models would be trained without such a copy.
    """
    if model.use_peft or _has_float32_copy(training) or _keeps_small_updates(training):
        return
    dtype = _dtype_of(training, model)
    if dtype in ("bfloat16", "float16"):
        raise InputError(
            f"training whole {dtype} weights rounds most updates away; take `dtype: float32` with "
            "`bf16: true`, or launch with DeepSpeed, or train an adapter with --use_peft"
        )


def _has_float32_copy(training: "TrainingArguments") -> bool:
    return training.deepspeed_plugin is not None and (training.bf16 or training.fp16)


def _keeps_small_updates(training: "TrainingArguments") -> bool:
    settings = str(training.optim_args or "").lower().replace(" ", "").split(",")
    return any(f"{name}=true" in settings for name in KEEPS_SMALL_UPDATES)


def _dtype_of(training: "TrainingArguments", model: "ModelConfig") -> str:
    """The dtype in which the weights will be loaded, such as `bfloat16`."""
    from transformers import AutoConfig

    given: Any = getattr(training, "model_init_kwargs", None)
    dtype = given.get("dtype", model.dtype) if isinstance(given, dict) else model.dtype
    if dtype == "auto":
        name = str(model.model_name_or_path)
        config = AutoConfig.from_pretrained(name, revision=model.model_revision)
        dtype = config.dtype
    return str(dtype or "float32").removeprefix("torch.")
