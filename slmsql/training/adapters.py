"""LoRA adapters: the base model of one, training one further, and the precision of training."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmsql.errors import InputError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel
    from trl import ModelConfig

FILE = "adapter_config.json"


def base_of(name: str) -> str | None:
    """The base model of an adapter folder; None for a whole model or a name on the hub."""
    file = Path(name) / FILE
    if not file.is_file():
        return None
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (json.JSONDecodeError, KeyError) as error:
        raise InputError(f"{file} names no base model: {error!r}") from error


def tokenizer_folder(name: str) -> str:
    """Where a model's tokenizer is; an adapter folder without one uses that of its base model."""
    has_tokenizer = (Path(name) / "tokenizer_config.json").is_file()
    return name if has_tokenizer else base_of(name) or name


def check_peft_option(model: "ModelConfig") -> None:
    """Check that an adapter folder is to be trained as an adapter.

    Raises:
        InputError: the folder is an adapter, and --use_peft is not given.
    """
    name = str(model.model_name_or_path)
    if base_of(name) and not model.use_peft:
        raise InputError(f"{name} is an adapter: give --use_peft to train on, or merge it first")


def with_adapter(
    base: "PreTrainedModel", model: "ModelConfig", *, gradient_checkpointing: bool
) -> "PeftModel":
    """Put the adapter of the folder `model_name_or_path` on its base model, to train it further.

    It keeps its rank and targets: the `lora_*` options do not apply.
    """
    from peft import PeftModel, prepare_model_for_kbit_training

    if model.load_in_4bit or model.load_in_8bit:
        base = prepare_model_for_kbit_training(base, gradient_checkpointing)
    return PeftModel.from_pretrained(base, str(model.model_name_or_path), is_trainable=True)


def keep_precise(model: Any) -> None:
    """Keep adapters on a quantised model in float32, and quantised weights as they were loaded.

    The trainer turns adapters on 4-bit models into bfloat16, which is too coarse for their updates
    and does not work with fp16 loss scaling. On some CPUs bitsandbytes repacks weights for a
    bfloat16 kernel at the first evaluation, and training would continue with those.
    """
    import torch
    from bitsandbytes.nn import Linear4bit

    for name, parameter in model.named_parameters():
        if parameter.requires_grad or "lora_" in name:  # GRPO's frozen reference adapter too
            parameter.data = parameter.data.to(torch.float32)
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
