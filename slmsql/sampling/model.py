"""The model that answers single questions: named, or found at an endpoint."""

import json
import os
from dataclasses import dataclass, field, replace
from typing import Any

from slmsql.errors import InputError
from slmsql.sampling.chat_completions import address
from slmsql.sampling.loading import open_sampler
from slmsql.sampling.options import SamplerOptions
from slmsql.sampling.sampler import Sampler

SECONDS = 10.0  # that a server may take to list its models
NO_MODEL = (
    "no model is given; there are three ways: --endpoint http://localhost:11434 (a server: Ollama, "
    "llama.cpp, vLLM or a hosted one), --model FILE.gguf (llama.cpp in this process), or --model "
    "FOLDER or its name on the hub (vLLM or transformers in this process)"
)


@dataclass(kw_only=True)
class ModelOptions(SamplerOptions):
    """Which model answers, and how it is served.

    Only the model, the adapter, dtype and quantization should change what a completion says.
    """

    model: str = field(
        default="",
        metadata={
            "help": "model folder, GGUF file or hub name; with --endpoint, the server's name for "
            "it, which is needed only if the server has several"
        },
    )
    endpoint: str = field(
        default="",
        metadata={
            "help": "OpenAI-compatible server (Ollama, llama.cpp, vLLM, hosted), such as "
            "http://localhost:11434"
        },
    )

    @property
    def is_remote(self) -> bool:
        """Whether a server has the model."""
        return bool(self.endpoint or self.endpoints)

    @property
    def names_a_model(self) -> bool:
        """Whether a model or a server is given."""
        return bool(self.model) or self.is_remote


def with_model(options: ModelOptions) -> ModelOptions:
    """The options with a model and, if `endpoint` is set, with that server in `endpoints`.

    Raises:
        InputError: there is no model, or the server has none or several.
    """
    if options.endpoint:
        endpoints = [options.endpoint, *options.endpoints]
        options = replace(options, endpoint="", endpoints=endpoints)
    if options.model:
        return options
    if not options.endpoints:
        raise InputError(NO_MODEL)
    return replace(options, model=_only_model(options.endpoints[0], options.key_env))


def load_model(model: str = "", **options: Any) -> Sampler:
    """Open a model for `Asker`.

        load_model("model.gguf")
        load_model("Qwen/Qwen2.5-Coder-3B-Instruct", max_model_len=8192)
        load_model(endpoint="http://localhost:11434")

    Args:
        model: a folder, a GGUF file, a hub name or, with `endpoint`, the server's name for it.
        options: fields of `ModelOptions`.

    Raises:
        InputError, FileNotFoundError: there is no such model, or its sampler is not installed.
    """
    return open_sampler(with_model(ModelOptions(model=model, **options)))


def _only_model(url: str, key_env: str) -> str:
    models = served_models(url, key_env)
    if not models:
        raise InputError(f"{url} serves no model; load one there, such as `ollama pull NAME`")
    if len(models) > 1:
        raise InputError(f"{url} serves several models; choose with --model: {', '.join(models)}")
    return models[0]


def served_models(url: str, key_env: str) -> list[str]:
    """The names of the models that an OpenAI-compatible server lists.

    Args:
        url: the server, with or without `/v1`.
        key_env: environment variable with the API key, if the server wants one.

    Raises:
        InputError: no server answers, it wants another key, or it does not list its models.
    """
    import httpx  # takes a tenth of a second

    key = os.environ.get(key_env, "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        response = httpx.get(address(url, "/models"), headers=headers, timeout=SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise InputError(f"{url}: no server answers ({type(error).__name__}: {error})") from error
    if response.status_code in (401, 403):
        raise InputError(f"{url} refuses the key (status {response.status_code}); set {key_env}")
    try:
        return [str(model["id"]) for model in json.loads(response.content)["data"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{url} does not list its models (status {response.status_code}); give --model NAME"
        ) from error
