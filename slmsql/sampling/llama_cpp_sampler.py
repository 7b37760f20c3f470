"""Samples from a GGUF file with llama.cpp in this process: for laptops, without torch.

Prompts are worded by the chat template in the file, which llama.cpp renders itself.
"""

import os
import secrets
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from slmsql.errors import InputError
from slmsql.sampling.chat_completions import chat_request, read_answer
from slmsql.sampling.constraining import Unconstrained
from slmsql.sampling.options import SamplerOptions
from slmsql.sampling.sampler import Completed, Request, Sample, SamplingParams
from slmsql.sampling.threads import RequestThreads

SLOTS = 4  # completions under way at once; each has a context of its own
LONGEST_CONTEXT = 8192  # tokens, unless --max_model_len says more: contexts take memory


class LlamaCppSampler:
    """Keeps up to four completions under way in llama.cpp's server, without its network."""

    def __init__(self, options: SamplerOptions) -> None:
        self._model = options.model
        self._unconstrained = Unconstrained()
        self._server = start_server(options, key=secrets.token_hex())
        self._threads = RequestThreads(_slots(options), "llama_cpp")
        self._most = _slots(options)

    def submit(self, request: Request) -> None:
        self._threads.submit(self._complete, request)

    def completed(self) -> list[Completed]:
        return self._threads.completed()

    def close(self) -> None:
        self._unconstrained.report()
        self._threads.close()
        del self._server

    def _complete(self, request: Request) -> Completed:
        grammar = self._unconstrained.grammar_of(request)
        samples: list[Sample] = []
        prompt_tokens = 0
        start = time.monotonic()
        while len(samples) < request.n:
            body = self._body(request, len(samples), grammar)
            reply = self._server.handle_chat_completions(body)
            if "error" in reply:
                return _failed(request, samples, prompt_tokens, reply["error"])
            answer = read_answer(reply, request.sampling)
            pairs = zip(answer.samples, reply["choices"], strict=True)
            samples += [_counted(*pair, request.sampling) for pair in pairs]
            prompt_tokens += answer.prompt_tokens
        return Completed(request.key, samples, prompt_tokens, time.monotonic() - start)

    def _body(self, request: Request, received: int, grammar: str | None) -> dict[str, Any]:
        body = chat_request(request, received, self._model)
        body["n"] = min(body["n"], self._most)
        if grammar is not None:
            body["grammar"] = grammar
        return body | {"logprobs": True, "top_logprobs": 1}


def _counted(sample: Sample, choice: Mapping[str, Any], sampling: SamplingParams) -> Sample:
    """The sample with its own number of tokens: llama.cpp's usage has that of the first alone."""
    tokens = len(choice["logprobs"]["content"])
    return replace(sample, tokens=tokens, logprob=sample.logprob if sampling.logprobs else None)


def _failed(
    request: Request, samples: list[Sample], prompt_tokens: int, error: Mapping[str, Any]
) -> Completed:
    """A request that llama.cpp refuses, such as a prompt that is too long, or cannot complete."""
    return Completed(
        request.key,
        samples,
        prompt_tokens,
        error=f"llama.cpp: {error['message']}",
        temporary=error["code"] >= 500,
    )


def check_gguf(model: str) -> None:
    """Check that a file is GGUF, without loading it.

    Raises:
        InputError: there is no such file, or it is something else.
    """
    file = Path(model)
    if not file.is_file():
        raise InputError(f"there is no GGUF file {model}; scripts/export_gguf.py writes one")
    with open(file, "rb") as content:
        if content.read(4) != b"GGUF":
            raise InputError(f"{model} is not a GGUF file")


def start_server(options: SamplerOptions, *, key: str) -> Any:
    """Load the model into llama.cpp's server, an object of the package xllamacpp.

    Args:
        options: the GGUF file and the length of the context.
        key: what a program must send to use the server over the network.

    Raises:
        InputError: llama.cpp cannot load it.
    """
    xllamacpp = load_llama_cpp()
    parameters = xllamacpp.CommonParams()
    parameters.model.path = options.model
    parameters.n_parallel = _slots(options)
    parameters.n_ctx = _slots(options) * (options.max_model_len or LONGEST_CONTEXT)
    parameters.cpuparams.n_threads = len(os.sched_getaffinity(0))
    # Completions come back whole: our own parser reads thoughts and answers.
    parameters.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    parameters.force_pure_content_parser = True
    parameters.verbosity = -1
    parameters.ui = False
    parameters.port = 0  # the package opens a port in any case: a free one
    parameters.api_keys = [key]
    try:
        server = xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise InputError(f"llama.cpp cannot load {options.model}: {error}") from error
    _restore_signals()
    return server


def _slots(options: SamplerOptions) -> int:
    """Completions that may be under way at once."""
    return min(options.concurrency, SLOTS)


def load_llama_cpp() -> Any:
    """The package xllamacpp.

    Raises:
        InputError: it is not installed.
    """
    # Threads that wait for each other must sleep. By default they keep their processors busy, and
    # if another program takes one of these, each token takes a hundred times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, when the library is loaded
    try:
        import xllamacpp
    except ImportError:
        raise InputError("llama.cpp is not installed; pip install 'slmsql[gguf]'") from None
    return xllamacpp


def _restore_signals() -> None:
    """Give Ctrl-C and kill back to Python: the package takes them for itself."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.getsignal(number))
