"""The model a run starts from: a full checkpoint, a quantised one, or an earlier run's adapter."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sft.encoding import Encoder, end_token, read_turn
from slmsql.errors import InputError
from slmsql.training import model_check

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import (
        BitsAndBytesConfig,
        PretrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )
    from trl import ModelConfig, SFTConfig

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
ADAPTER = "adapter_config.json"


def check_model(model: "ModelConfig") -> "PretrainedConfig":
    """Check a model without loading its weights; returns its configuration.

    Raises:
        InputError: no model was named, it does not exist, or transformers cannot load its kind.
    """
    from transformers import AutoConfig

    name = base_of(model.model_name_or_path or "") or model.model_name_or_path or ""
    model_check.check_model(name, revision=model.model_revision)
    try:
        config = AutoConfig.from_pretrained(name, revision=model.model_revision)
        return cast("PretrainedConfig", config)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name} has a configuration that cannot be read: {reason}") from error


def check_packing(config: "PretrainedConfig") -> None:
    """Check that the rows of a pack cannot influence each other.

    Positions keep attention within a row. A convolution (LFM2) or a recurrent layer runs on from
    one row into the next, at least without special kernels.

    Raises:
        InputError: the model has such layers.
    """
    if others := sorted(set(config.to_dict().get("layer_types") or []) - ATTENTION):
        raise InputError(
            f"--packing lets the rows of a pack see each other in this model's "
            f"{', '.join(others)} layers; leave it out"
        )


def base_of(name: str) -> str | None:
    """The base model of an adapter folder; None for a whole model or a name on the hub."""
    file = Path(name) / ADAPTER
    if not file.is_file():
        return None
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (json.JSONDecodeError, KeyError) as error:
        raise InputError(f"{file} names no base model: {error!r}") from error


def load_tokenizer(model: "ModelConfig", template: str | None) -> "PreTrainedTokenizerBase":
    """The model's tokenizer, with the chat template of a file or of another model if given."""
    from transformers import AutoTokenizer

    name = str(model.model_name_or_path)
    home = name if (Path(name) / "tokenizer_config.json").is_file() else base_of(name) or name
    tokenizer = AutoTokenizer.from_pretrained(home, revision=model.model_revision)
    if template and Path(template).is_file():
        tokenizer.chat_template = Path(template).read_text(encoding="utf-8")
    elif template:
        tokenizer.chat_template = AutoTokenizer.from_pretrained(template).chat_template
    return tokenizer


def load_encoder(model: "ModelConfig", training: "SFTConfig") -> Encoder:
    """The encoder of rows for this model; sets the end token in the trainer's options."""
    tokenizer = load_tokenizer(model, training.chat_template_path)
    turn = read_turn(tokenizer)
    training.eos_token = training.eos_token or end_token(tokenizer, turn)
    training.chat_template_path = None  # the tokenizer has it now
    return Encoder(tokenizer, turn, training.completion_only_loss is not False)


def load_model(
    model: "ModelConfig", training: "SFTConfig", compute_dtype: str = ""
) -> "tuple[PreTrainedModel | PeftModel, PeftConfig | None]":
    """Load the weights; also returns the configuration of a new adapter, if one is to be made.

    An adapter folder is loaded on its base model and trained further (Nemo's second phase). It
    keeps its rank and targets: the `lora_*` options do not apply.

    Args:
        compute_dtype: of the arithmetic on 4-bit weights; empty: the dtype of the other weights.

    Raises:
        InputError: the folder is an adapter, and --use_peft is not given.
    """
    from peft import PeftModel, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM
    from trl import get_peft_config

    name = str(model.model_name_or_path)
    base = base_of(name)
    loaded = AutoModelForCausalLM.from_pretrained(
        base or name,
        revision=model.model_revision,
        dtype=model.dtype,
        attn_implementation=model.attn_implementation,
        quantization_config=_quantization(model, compute_dtype),
        trust_remote_code=training.trust_remote_code,
        **_extra(training),
    )
    if base is None:
        return loaded, get_peft_config(model)
    if not model.use_peft:
        raise InputError(f"{name} is an adapter: give --use_peft to train on, or merge it first")
    if model.load_in_4bit or model.load_in_8bit:
        loaded = prepare_model_for_kbit_training(loaded, training.gradient_checkpointing)
    return PeftModel.from_pretrained(loaded, name, is_trainable=True), None


def _quantization(model: "ModelConfig", compute_dtype: str) -> "BitsAndBytesConfig | None":
    """TRL's quantisation, whose arithmetic has the dtype of the other weights unless given."""
    import torch
    from trl import get_quantization_config

    config = get_quantization_config(model)
    if config and model.load_in_4bit and compute_dtype:
        config.bnb_4bit_compute_dtype = getattr(torch, compute_dtype)
    return config


def _extra(training: "SFTConfig") -> dict[str, Any]:
    """Take `model_init_kwargs` out of the trainer's options, as the trainer loads no model."""
    extra = training.model_init_kwargs or {}
    training.model_init_kwargs = None
    return dict(extra) if isinstance(extra, dict) else dict(json.loads(extra))


def keep_precise(model: Any) -> None:
    """Keep trained adapters in float32, and quantised weights as they were loaded.

    The trainer turns adapters on 4-bit models into bfloat16, which is too coarse for their updates
    and does not work with fp16 loss scaling. On some CPUs bitsandbytes repacks weights for a
    bfloat16 kernel at the first evaluation, and training would continue with those.
    """
    import torch
    from bitsandbytes.nn import Linear4bit

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
