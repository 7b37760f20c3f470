"""Start within seconds, for runs of minutes: with vLLM, or without importing it.

vLLM compiles a model when it starts: 60 to 70 s for a model of 135M parameters on an H100. Without
that, most of the speed stays if the steps that only decode are recorded as CUDA graphs, for a few
batch sizes; vLLM's own list has more than 50.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

QUICK_START: dict[str, Any] = {
    "mode": 0,  # nothing is compiled
    "cudagraph_mode": "FULL_DECODE_ONLY",
    "cudagraph_capture_sizes": [1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512],
}
"""vLLM's `compilation_config`, for `start_vllm_with`."""


def start_vllm_with(**arguments: Any) -> None:
    """Let TRL give its vLLM beside the trainer these arguments, too; it has no option for that."""
    from trl.generation import vllm_generation

    names = vars(vllm_generation)
    names["LLM"] = partial(names["LLM"], **arguments)


@contextmanager
def vllm_left_out(*, when: bool) -> Iterator[None]:
    """Let TRL's trainers be imported without vLLM, a quarter of the time, when it is not used."""
    from trl import import_utils

    ask = import_utils.is_vllm_available
    if not when:
        yield
        return
    vars(import_utils)["is_vllm_available"] = _is_not_available
    try:
        yield
    finally:
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] == "trl" and "is_vllm_available" in vars(module):
                vars(module)["is_vllm_available"] = ask


def _is_not_available(min_version: str | None = None) -> bool:
    return False
