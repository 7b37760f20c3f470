"""The tokenizer of a model folder as GGUF stores it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts.export.checkpoint import Checkpoint
from scripts.import_gguf import CONTROL, SPLITS, USER_DEFINED
from slmsql.errors import InputError

NORMAL, UNUSED = 1, 5  # further token types of llama.cpp
DIGITS, WORDS = "one digit at a time", "GPT-2's words"
# Mistral's: words in camel case are cut before each capital.
LETTERS = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}]%s"
TEKKEN = (
    "|".join([LETTERS % ("*", "+"), LETTERS % ("+", "*"), r"\p{N}"])
    + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# llama.cpp's name for each way to split a text before BPE.
RULES: dict[tuple[str, ...], str] = {
    (WORDS,): "gpt-2",
    (DIGITS, WORDS): "smollm",
    (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", DIGITS): "deepseek-coder",
    (TEKKEN,): "tekken",
    **{(pattern,): name for name, pattern in SPLITS.items()},
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens by id, llama.cpp's type of each, BPE merges, and the rule that splits a text first."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    rule: str


def read_vocabulary(checkpoint: Checkpoint) -> Vocabulary:
    """Take the vocabulary out of a checkpoint's tokenizer.

    Rows of the embedding that no token uses get a name and the type `UNUSED`.

    Raises:
        InputError: the tokenizer is not byte-level BPE, or it splits text by an unknown rule.
    """
    state = json.loads(checkpoint.tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] != "BPE" or state["model"].get("byte_fallback"):
        raise InputError(f"{checkpoint.folder}: the tokenizer is not byte-level BPE")
    size = checkpoint.config.vocab_size
    tokens, types = [f"[PAD{number}]" for number in range(size)], [UNUSED] * size
    for token, number in checkpoint.tokenizer.get_vocab().items():
        tokens[number], types[number] = token, NORMAL
    for added in state["added_tokens"]:
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    merges = (
        merge if isinstance(merge, str) else " ".join(merge) for merge in state["model"]["merges"]
    )
    return Vocabulary(tuple(tokens), tuple(types), tuple(merges), _rule(checkpoint, state))


def _rule(checkpoint: Checkpoint, state: Mapping[str, Any]) -> str:
    splitter = state["pre_tokenizer"] or {}
    steps = splitter.get("pretokenizers", [splitter])
    patterns = tuple(pattern for step in steps if (pattern := _pattern(step)))
    if patterns not in RULES:
        raise InputError(
            f"{checkpoint.folder}: the tokenizer splits text by {' then '.join(patterns)}; "
            f"supported are llama.cpp's rules {', '.join(sorted(RULES.values()))}"
        )
    return RULES[patterns]


def _pattern(step: Mapping[str, Any]) -> str:
    """What a step of tokenizers splits by; empty for one that only turns bytes into characters."""
    kind = step.get("type", "nothing")
    if kind == "Split":
        pattern = step["pattern"]
        return str(pattern.get("Regex", pattern.get("String")))
    if kind == "Digits":
        return DIGITS if step["individual_digits"] else "runs of digits"
    if kind == "ByteLevel" and not step.get("add_prefix_space"):
        return WORDS if step["use_regex"] else ""
    return str(kind)
