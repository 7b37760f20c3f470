"""Check attention and precision, before a model is loaded or a row is encoded."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from slmsql.errors import InputError

if TYPE_CHECKING:
    from transformers import TrainingArguments
    from trl import ModelConfig

IN_TORCH = ("eager", "sdpa", "flex_attention")
# Any of these packages provides the attention. `kernels` downloads it from the hub.
PACKAGES = {
    "flash_attention_2": ("flash_attn", "kernels"),
    "flash_attention_3": ("flash_attn_interface", "kernels"),
    "flash_attention_4": ("flash_attn",),
}
# Settings in `optim_args` with which an optimizer loses no small updates of 16-bit weights.
KEEPS_SMALL_UPDATES = ("bf16_stochastic_round", "kahan_sum", "use_kahan_summation")


def check_attention(model: "ModelConfig") -> None:
    """Check that the attention of `attn_implementation` is installed.

    Raises:
        InputError: it is not, or the name is unknown.
    """
    name = (model.attn_implementation or "sdpa").removeprefix("paged|")
    if name in IN_TORCH:
        return
    packages = ("kernels",) if "/" in name else PACKAGES.get(name)
    if packages is None:
        raise InputError(
            f"unknown attn_implementation {name!r}; expected one of "
            f"{', '.join((*IN_TORCH, *PACKAGES))}"
        )
    if not any(find_spec(package) for package in packages):
        raise InputError(
            f"attn_implementation {name} needs the package {' or '.join(packages)}, which is not "
            "installed; `--attn_implementation sdpa` needs nothing"
        )


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
