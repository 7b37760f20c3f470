"""The model a run starts from: a full checkpoint, a quantised one, or an earlier run's adapter."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.encoding import Encoder, end_token, read_turn
from slmsql.errors import InputError
from slmsql.training.adapters import base_of, check_peft_option, tokenizer_folder, with_adapter
from slmsql.training.attention import keeps_rows_apart, mixing_layers

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import (
        BitsAndBytesConfig,
        PretrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )
    from trl import ModelConfig, SFTConfig


def check_packing(config: "PretrainedConfig") -> None:
    """Check that the rows of a pack cannot influence each other.

    Raises:
        InputError: the model has layers that look across rows.
    """
    if others := mixing_layers(config):
        raise InputError(
            f"--packing lets the rows of a pack see each other in this model's "
            f"{', '.join(others)} layers; leave it out"
        )


def lay_rows_side_by_side(training: "SFTConfig", model: "PreTrainedModel | PeftModel") -> None:
    """Replace padding by one line of tokens, where the model keeps the rows on it apart.

    A pack is such a line already. Loss and gradients stay the same; padding costs time and memory.
    """
    config: Any = model.config
    can_be = keeps_rows_apart(config._attn_implementation) and not mixing_layers(config)
    if can_be and not training.packing:
        training.padding_free = True
        training.max_length = None  # longer rows have been dropped; TRL refuses both


def load_tokenizer(model: "ModelConfig", template: str | None) -> "PreTrainedTokenizerBase":
    """The model's tokenizer, with the chat template of a file or of another model if given."""
    from transformers import AutoTokenizer

    folder = tokenizer_folder(str(model.model_name_or_path))
    tokenizer = AutoTokenizer.from_pretrained(folder, revision=model.model_revision)
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

    An adapter folder is loaded on its base model and trained further (Nemo's second phase).

    Args:
        compute_dtype: of the arithmetic on 4-bit weights; empty: the dtype of the other weights.

    Raises:
        InputError: the folder is an adapter, and --use_peft is not given.
    """
    from transformers import AutoModelForCausalLM
    from trl import get_peft_config

    check_peft_option(model)
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
    checkpointing = training.gradient_checkpointing
    return with_adapter(loaded, model, gradient_checkpointing=checkpointing), None


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
