"""Tiny models of the real architectures, with a tokenizer and the real chat template, from nothing.

Random weights: they show that a program runs and what it computes, not that it learns much.
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

TAGS = ["<think>", "</think>", "<answer>", "</answer>"]  # ordinary tokens: TRL drops special ones
TEXTS = [
    "Translate the question about the database into one SQLite query.",
    "SELECT name, count(*) FROM singer JOIN song ON song.singer_id = singer.id WHERE age > 30",
    "GROUP BY name HAVING count(*) > 2 ORDER BY age DESC LIMIT 10; CREATE TABLE t (id INTEGER",
    "PRIMARY KEY, title TEXT, FOREIGN KEY (id) REFERENCES t (id)); How many are there?",
]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
}

# architecture: (model type, chat template, [start, end of sequence, further special tokens], extra)
KINDS = {
    "qwen2": ("qwen2", "qwen2_5", ["<|endoftext|>", "<|im_end|>", "<|im_start|>"], {}),
    "qwen3": ("qwen3", "qwen3", ["<|endoftext|>", "<|im_end|>", "<|im_start|>"], {"head_dim": 8}),
    "llama": (
        "llama",
        "llama3_2",
        ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
        {},
    ),
    "deepseek": ("llama", None, ["<|begin_of_sentence|>", "<|EOT|>"], {}),
    "lfm2": (
        "lfm2",
        "lfm2_2_5_v2",
        ["<|startoftext|>", "<|im_end|>", "<|im_start|>"],
        {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    ),
    "mistral": ("mistral", None, ["<s>", "</s>", "[INST]", "[/INST]"], {"head_dim": 8}),
}

# Of those whose templates TRL does not carry: the same layout in our own words.
TEMPLATES = {
    "mistral": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}\
{% set system = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}\
{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}\
{% for m in rest %}{% if m['role'] == 'user' %}\
{{ '[INST]' + (system if loop.last or loop.index0 == rest | length - 2 else '') + m['content'] \
+ '[/INST]' }}{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}""",
    "deepseek": """{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}\
{{ m['content'] }}{% elif m['role'] == 'user' %}{{ '### Instruction:\n' + m['content'] + '\n' }}\
{% else %}{{ '### Response:\n' + m['content'] + '\n<|EOT|>\n' }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '### Response:' }}{% endif %}""",
}


def tiny_model(
    folder: Path, kind: str = "qwen2", *, texts: Sequence[str] = TEXTS, seed: int = 0, **sizes: int
) -> Path:
    """Write a model folder of the given architecture; returns it.

    Args:
        kind: a key of `KINDS`.
        texts: what the tokenizer learns its merges from (about a thousand tokens at most).
        sizes: override `SIZES`, e.g. `hidden_size=64`.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = tiny_tokenizer(kind, texts)
    model_type, _, _, extra = KINDS[kind]
    config = AutoConfig.for_model(
        model_type,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=kind != "mistral",
        **{**SIZES, **extra, **sizes},
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_tokenizer(kind: str = "qwen2", texts: Sequence[str] = TEXTS):
    """A byte-level BPE tokenizer with the special tokens and chat template of the architecture."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    _, _, special, _ = KINDS[kind]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=1000, special_tokens=["<pad>", *special], initial_alphabet=alphabet
        ),
    )
    raw.add_tokens(TAGS)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token=special[0],
        eos_token=special[1],
        pad_token="<pad>",
        extra_special_tokens=special[2:],
        chat_template=chat_template(kind),
    )


def chat_template(kind: str) -> str:
    """The template that the architecture's instruct models are published with."""
    if kind in TEMPLATES:
        return TEMPLATES[kind]
    return (files("trl") / "chat_templates" / f"{KINDS[kind][1]}.jinja").read_text()
