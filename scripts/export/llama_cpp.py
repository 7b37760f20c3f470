"""llama.cpp's own quantiser and tokenizer, called in the library of the package xllamacpp.

pip installs xllamacpp without a compiler, and its library exports llama.cpp's C functions. Only
functions with plain arguments are called, because structures change with each release.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, quant_shape_to_byte_shape

from scripts.export.checkpoint import Array
from slmsql.errors import InputError
from slmsql.sampling.llama_cpp_sampler import load_llama_cpp

PARAMETERS = 1024  # bytes; more than llama.cpp's parameters of a model have
QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class _Parameters(ctypes.Structure):
    """Parameters of a model as llama.cpp fills them in; what they are is not looked at."""

    _fields_ = (("content", ctypes.c_byte * PARAMETERS),)


class LlamaVocabulary:
    """The tokenizer in a GGUF file, as llama.cpp reads it."""

    def __init__(self, file: Path) -> None:
        self._library = library()
        self._model = self._library.llama_model_load_from_file(
            str(file).encode(), self._library.llama_model_default_params()
        )
        if not self._model:
            raise InputError(f"llama.cpp cannot load {file}")
        self.pointer = self._library.llama_model_get_vocab(self._model)

    def __enter__(self) -> "LlamaVocabulary":
        return self

    def __exit__(self, *_: object) -> None:
        self._library.llama_model_free(self._model)

    def ids(self, text: str) -> list[int]:
        """The ids of a text in which the names of special tokens stand for them."""
        data = text.encode()
        room = len(data) + 8
        ids = (ctypes.c_int32 * room)()
        count = self._library.llama_tokenize(self.pointer, data, len(data), ids, room, False, True)
        return list(ids[:count])


def quantise(weights: Array, type_: GGMLQuantizationType) -> Array:
    """Quantise a matrix of float32; the result holds bytes, row by row."""
    rows, width = weights.shape
    source = np.ascontiguousarray(weights, dtype=np.float32)
    target = np.empty(quant_shape_to_byte_shape(weights.shape, type_), dtype=np.uint8)
    written = library().ggml_quantize_chunk(
        int(type_), source.ctypes.data, target.ctypes.data, 0, rows, width, None
    )
    if written != target.nbytes:
        raise ValueError(f"llama.cpp wrote {written} bytes of {target.nbytes} as {type_.name}")
    return target


@cache
def library() -> Any:
    """The library, loaded once and without its log.

    Raises:
        InputError: the package xllamacpp is not installed.
    """
    loaded = ctypes.CDLL(load_llama_cpp().xllamacpp.__file__)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    loaded.llama_log_set(_SILENCE, None)
    loaded.llama_backend_init()
    return loaded


_SILENCE = QUIET(lambda *_: None)  # llama.cpp calls it as long as the process lives
_POINTER, _INT = ctypes.c_void_p, ctypes.c_int32
_SIGNATURES: dict[str, tuple[Any, Sequence[Any]]] = {
    "ggml_quantize_chunk": (
        ctypes.c_size_t,
        [ctypes.c_int, _POINTER, _POINTER, *[ctypes.c_int64] * 3, _POINTER],
    ),
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [QUIET, _POINTER]),
    "llama_model_default_params": (_Parameters, []),
    "llama_model_load_from_file": (_POINTER, [ctypes.c_char_p, _Parameters]),
    "llama_model_get_vocab": (_POINTER, [_POINTER]),
    "llama_model_free": (None, [_POINTER]),
    "llama_tokenize": (
        _INT,
        [_POINTER, ctypes.c_char_p, _INT, _POINTER, _INT, ctypes.c_bool, ctypes.c_bool],
    ),
}
