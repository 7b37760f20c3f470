"""Models with the sizes of published ones and random weights: nothing has to be downloaded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.demo.make_tiny_model import train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

QWEN = {"vocab_size": 151_936, "tie_word_embeddings": True, "max_position_embeddings": 32_768}
SHAPES: dict[str, dict[str, Any]] = {
    "135M": {  # SmolLM2-135M
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49_152,
        "tie_word_embeddings": True,
        "max_position_embeddings": 8192,
    },
    "0.5B": {  # Qwen2.5-0.5B
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        **QWEN,
    },
    "1.5B": {  # Qwen2.5-1.5B
        "model_type": "qwen2",
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        **QWEN,
    },
    "tiny": {  # for a CPU; vLLM's attention there takes heads of 32 and more
        "model_type": "qwen2",
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        **QWEN,
        "vocab_size": 2000,
    },
}


def save_models(names: Sequence[str], texts: list[str], folder: Path) -> dict[str, Path]:
    """Save each model with a tokenizer that has learnt its words from the texts."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    paths = {}
    for name in names:
        tokenizer = tokenizer_of_size(texts, SHAPES[name]["vocab_size"])
        config = AutoConfig.for_model(
            **SHAPES[name],
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        paths[name] = folder / name
        model.save_pretrained(paths[name])
        tokenizer.save_pretrained(paths[name])
    return paths


def tokenizer_of_size(texts: list[str], size: int) -> "PreTrainedTokenizerFast":
    """A tokenizer with exactly `size` tokens: a model with random weights samples any of them.

    The texts give a few thousand; the others are words that occur in no text.
    """
    from tokenizers import Tokenizer

    tokenizer = train_tokenizer(texts, vocabulary=min(8000, size // 2))
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    used = len(tokenizer)
    core["model"]["vocab"] |= {f"unused{number}": number for number in range(used, size)}
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(core))
    return tokenizer
