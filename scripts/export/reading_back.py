"""Checks a GGUF file against its checkpoint: tensors, token ids, chat template, one answer."""

import json
import random
import unicodedata
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize

from scripts.export.checkpoint import Array, Checkpoint
from scripts.export.llama_cpp import LlamaVocabulary
from scripts.export.ollama import chat_text
from scripts.export.quantisation import F16, F32, Q4_K, Q5_0, Q6_K, Q8_0
from slmsql.errors import InputError
from slmsql.prompt.build import Messages
from slmsql.sampling.llama_cpp_sampler import start_server
from slmsql.sampling.options import SamplerOptions

STRINGS = 10_000
KEY = "reading back"  # of a server that lives for seconds and holds nothing secret
# The largest error of a tensor, as a share of its own size (root mean square of both). Normally
# distributed weights lose a third to a half of it.
LARGEST_ERROR = {F32: 0.0, F16: 1e-3, Q8_0: 0.015, Q6_K: 0.04, Q5_0: 0.08, Q4_K: 0.15}
PIECES = (
    *("SELECT", "select count(*)", " FROM ", "t1.name", "'O''Brien'", '"a b"', "`x`", "<>", ">="),
    *(
        ";",
        "--",
        "/* */",
        "CREATE TABLE t (id INTEGER PRIMARY KEY,\n  ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
    ),
    *("  ", "    ", "0", "7", "2024", "1234567", "3.14", "I'm", "we'LL", "don't", "größe", "東京"),
    *(
        "東京タワー",
        "Москва",
        "مرحبا",
        "हिन्दी",
        "😀",
        "👩‍👩‍👧",
        "\u00a0",
        "\u3000",
        "e\u0301",
        "İ",
        "ſ",
    ),
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "{{x}}",
        "\\n",
        "camelCaseName",
        "SNAKE_CASE",
    ),
)


def check_tensors(checkpoint: Checkpoint, file: Path) -> dict[str, float]:
    """Compare each tensor with the checkpoint's.

    Returns:
        The largest error for each type, as a share of the tensor's size.

    Raises:
        InputError: a tensor differs by more than its type explains.
    """
    stored = {tensor.name: tensor for tensor in GGUFReader(file).tensors}
    largest: dict[str, float] = {}
    for name, weights in checkpoint.tensors():
        tensor = stored.pop(name)
        error = _error(weights, dequantize(tensor.data, tensor.tensor_type))
        if not error <= LARGEST_ERROR[tensor.tensor_type]:
            raise InputError(
                f"{name} lost {error:.1%} of its size in {tensor.tensor_type.name}, more than the "
                f"{LARGEST_ERROR[tensor.tensor_type]:.1%} that the type explains"
            )
        kind = GGMLQuantizationType(tensor.tensor_type).name
        largest[kind] = max(largest.get(kind, 0.0), error)
    if stored:
        raise InputError(f"{file} has tensors that the model lacks: {', '.join(stored)}")
    return largest


def _error(expected: Array, actual: Array) -> float:
    size = float(np.sqrt(np.mean(np.square(expected, dtype=np.float64))))
    difference = float(np.sqrt(np.mean(np.square(expected - actual, dtype=np.float64))))
    return difference / size if size else difference


def expected_ids(tokenizer: Any, count: int = STRINGS, seed: int = 0) -> dict[str, list[int]]:
    """Texts to compare tokenizers on, each with the ids that it must have.

    The texts are hard pieces in random order, and random tokens of all kinds. They are in Unicode's
    composed form (NFC): some tokenizers compose characters first, which llama.cpp never does.
    """
    generator = random.Random(seed)
    tokens = list(tokenizer.get_vocab().values())
    texts: dict[str, None] = {}  # in order, each once
    while len(texts) < count:
        length = generator.randint(1, 12)
        if len(texts) % 2:
            text = "".join(generator.choices((*PIECES, " "), k=length))
        else:
            text = tokenizer.decode(generator.choices(tokens, k=length), skip_special_tokens=True)
        texts[unicodedata.normalize("NFC", text)] = None
    ids = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return dict(zip(texts, ids, strict=True))


def check_ids(file: Path, expected: Mapping[str, Sequence[int]]) -> None:
    """Compare llama.cpp's token ids with the tokenizer's.

    Raises:
        InputError: they differ; the message shows the shortest text.
    """
    with LlamaVocabulary(file) as vocabulary:
        different = [text for text, ids in expected.items() if vocabulary.ids(text) != ids]
    if different:
        raise InputError(
            f"llama.cpp splits {len(different)} of {len(expected)} texts into other tokens than "
            f"the tokenizer does, such as {min(different, key=len)!r:.100}"
        )


def check_answers(checkpoint: Checkpoint, file: Path, conversations: Sequence[Messages]) -> str:
    """Let llama.cpp render prompts and answer the first one.

    Returns:
        The answer, of up to 16 tokens.

    Raises:
        InputError: a prompt differs from what the chat template renders, or there is no answer.
    """
    server = start_server(SamplerOptions(model=str(file), max_model_len=4096), key=KEY)
    for messages in conversations:
        expected = chat_text(checkpoint.tokenizer, messages)
        actual = _post(f"{server.listening_address}/apply-template", {"messages": messages})[
            "prompt"
        ]
        if actual != expected:
            raise InputError(f"llama.cpp renders the prompt {actual!r:.200}, not {expected!r:.200}")
    messages = conversations[0]
    reply = server.handle_chat_completions(
        {"messages": messages, "max_tokens": 16, "temperature": 0}
    )
    if "error" in reply:
        raise InputError(f"llama.cpp does not answer: {reply['error']['message']}")
    ids = checkpoint.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    if reply["usage"]["prompt_tokens"] != len(ids):
        read = reply["usage"]["prompt_tokens"]
        raise InputError(f"llama.cpp reads a prompt of {len(ids)} tokens as {read}")
    return str(reply["choices"][0]["message"]["content"])


def _post(address: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        address,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)
