"""A model that runs in every engine and says what it is told to: a chain of words, no training.

Attention and layers add nothing, so that the next word is drawn by the last one alone. The words
of the chain have an axis each, and the chances between them are exact.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from tests.tiny_model import tiny_model

WORD = "hm"


def talking_model(folder: Path, answers: Mapping[str, float], *, length: int = 100) -> Path:
    """Write a model folder; it thinks `length` words on average, then answers by these chances."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model(folder, hidden_size=128))
    tokenizer.add_tokens([WORD, *answers])
    chain = {
        _turn(tokenizer): {"<think>": 1.0},
        "<think>": {WORD: 1.0},
        WORD: {WORD: 1 - 1 / length, "</think>": 1 / length},
        "</think>": {"<answer>": 1.0},
        "<answer>": dict(answers),
        **{key: {"</answer>": 1.0} for key in answers},
        "</answer>": {tokenizer.eos_token: 1.0},
    }
    config = AutoConfig.from_pretrained(folder)
    config.vocab_size, config.tie_word_embeddings = len(tokenizer), False
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        embedding[:, : len(chain)] = 0
        head.zero_()
        for axis, (word, following) in enumerate(chain.items()):
            place = word if isinstance(word, int) else tokenizer.convert_tokens_to_ids(word)
            embedding[place] = 0
            embedding[place, axis] = 1
            for other, chance in following.items():
                # The norm before the head makes the axis as long as the root of all their number.
                logit = (30 + math.log(chance)) / math.sqrt(config.hidden_size)
                head[tokenizer.convert_tokens_to_ids(other), axis] = logit
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _turn(tokenizer) -> int:
    """The token before an answer."""
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": "?"}], add_generation_prompt=True, return_dict=False
    )[-1]
