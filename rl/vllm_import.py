"""Keeps TRL from importing vLLM where a run does not use it.

TRL's trainer imports vLLM wherever it is installed. That takes five seconds of processor time in
each process, half of the start of a run on a CPU.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def only_if_used(use_vllm: bool | None) -> Iterator[None]:
    """Import `trl.GRPOTrainer` inside; without `use_vllm` its module does without vLLM."""
    import_utils = import_module("trl.import_utils")
    if use_vllm or "trl.generation" in sys.modules:
        yield
        return
    is_available = import_utils.is_vllm_available
    import_utils.is_vllm_available = lambda min_version=None: False
    try:
        yield
    finally:
        import_utils.is_vllm_available = is_available
