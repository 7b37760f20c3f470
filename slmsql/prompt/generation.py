"""Generation with transformers that depends on our options alone.

A base model may come with a `generation_config.json`, for example with a repetition penalty of
1.05. transformers applies it wherever the caller says nothing, in greedy decoding too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import GenerationConfig


def plain_config(config: "GenerationConfig") -> "GenerationConfig":
    """A configuration with the special tokens of another one and none of its other settings."""
    from transformers import GenerationConfig

    return GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )


@contextmanager
def plain_generation(model: Any) -> Iterator[None]:
    """Let a model generate without its own defaults, and give them back: they are saved with it.

    Args:
        model: of transformers, or with an adapter of PEFT.
    """
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = whole.generation_config
    whole.generation_config = plain_config(config)
    try:
        yield
    finally:
        whole.generation_config = config
