"""The model a run starts from: a full checkpoint, a quantised one, or an earlier run's adapter."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.encoding import Encoder, end_token, read_turn
from slmsql.errors import InputError
from slmsql.training import model_check

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
    from trl import ModelConfig, SFTConfig

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
ADAPTER = "adapter_config.json"


def check_model(model: "ModelConfig") -> "PretrainedConfig":
    """Refuse a model that is none, without loading weights; returns its configuration.

    Raises:
        InputError: no model was named, it is not there, or of a kind that transformers lacks.
    """
    from transformers import AutoConfig

    name = base_of(model.model_name_or_path or "") or model.model_name_or_path
    model_check.check_model(name, revision=model.model_revision)
    try:
        return AutoConfig.from_pretrained(name, revision=model.model_revision)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name} has no configuration that can be read: {reason}") from error


def check_packing(config: "PretrainedConfig") -> None:
    """Refuse to pack rows for a model that would let them see each other.

    Attention is kept within a row by its positions; a convolution (LFM2) or a recurrent layer runs
    on across the border, at least without kernels of its own.
    """
    if others := sorted(set(config.to_dict().get("layer_types") or []) - ATTENTION):
        raise InputError(
            f"--packing lets the rows of a pack see each other in this model's "
            f"{', '.join(others)} layers; leave it out"
        )


def base_of(name: str) -> str | None:
    """The base model of an adapter folder; None where the folder is a whole model or a name."""
    file = Path(name) / ADAPTER
    if not file.is_file():
        return None
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (json.JSONDecodeError, KeyError) as error:
        raise InputError(f"{file} names no base model: {error!r}") from error


def load_tokenizer(model: "ModelConfig", template: str | None) -> "PreTrainedTokenizerBase":
    """The model's tokenizer, with another chat template (a file or a model folder) where given."""
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
    """The encoder of rows for this model; the trainer's options are told its end token."""
    tokenizer = load_tokenizer(model, training.chat_template_path)
    turn = read_turn(tokenizer)
    training.eos_token = training.eos_token or end_token(tokenizer, turn)
    training.chat_template_path = None  # already followed
    return Encoder(tokenizer, turn, training.completion_only_loss is not False)


def load_model(
    model: "ModelConfig", training: "SFTConfig"
) -> tuple["PreTrainedModel", "PeftConfig | None"]:
    """Load the weights, and the adapter to be made on them or None.

    An adapter folder is loaded on its base and trained on (Nemo's second phase); its rank and
    targets are its own, so that `lora_*` options do not apply.
    """
    from peft import PeftModel, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM
    from trl import get_peft_config, get_quantization_config

    name = str(model.model_name_or_path)
    base = base_of(name)
    loaded = AutoModelForCausalLM.from_pretrained(
        base or name,
        revision=model.model_revision,
        dtype=model.dtype,
        attn_implementation=model.attn_implementation,
        quantization_config=get_quantization_config(model),
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


def _extra(training: "SFTConfig") -> dict[str, Any]:
    """`model_init_kwargs` taken off the trainer's options: it warns where it loads nothing."""
    extra = training.model_init_kwargs or {}
    training.model_init_kwargs = None
    return dict(extra) if isinstance(extra, dict) else dict(json.loads(extra))


def keep_precise(model: Any) -> None:
    """Hold trained adapters in float32 and quantised weights as they are.

    The trainer makes adapters on 4-bit models bfloat16, which does not resolve their updates and
    cannot go with fp16 loss scaling. On some CPUs bitsandbytes repacks weights for a bfloat16
    kernel at the first evaluation, and trains on with those.
    """
    import torch
    from bitsandbytes.nn import Linear4bit

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
