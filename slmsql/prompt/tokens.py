"""Counts the tokens of a conversation with the model's own tokenizer and chat template.

This needs the packages `tokenizers` and `jinja2` but not transformers, whose import takes seconds
and hundreds of megabytes in each worker process.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NoReturn

from slmsql.errors import InputError
from slmsql.prompt.build import Messages

Render = Callable[[Messages], str]


def count_tokens(messages: Messages, tokenizer: str) -> int:
    """The number of tokens of a whole conversation, as training encodes it.

    Args:
        messages: the conversation.
        tokenizer: folder with `tokenizer.json`, or a name on the Hugging Face hub.

    Raises:
        FileNotFoundError: a file of the tokenizer is missing.
        InputError: `tokenizer_config.json` is not a JSON object.
    """
    count, render = _load(tokenizer)
    return count(render(messages))


@cache
def _load(tokenizer: str) -> tuple[Callable[[str], int], Render]:
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(str(_file(tokenizer, "tokenizer.json")))

    def count(text: str) -> int:
        return len(encoder.encode(text, add_special_tokens=False).ids)

    return count, _renderer(tokenizer)


def _renderer(tokenizer: str) -> Render:
    """The chat template as a function; without a template, messages are joined by line breaks."""
    from jinja2.exceptions import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    settings = _settings(tokenizer)
    source = _chat_template(tokenizer, settings)
    if source is None:
        return lambda messages: "\n".join(message["content"] for message in messages)

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["raise_exception"] = refuse
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    # Turn the tags around the assistant's part, which Jinja does not know, into comments.
    source = re.sub(r"\{%(-?)\s*(?:end)?generation\s*(-?)%\}", r"{#\1 \2#}", source)
    template = environment.from_string(source)
    special_tokens = _special_tokens(settings)
    return lambda messages: template.render(messages=messages, **special_tokens)


def _settings(tokenizer: str) -> dict[str, object]:
    settings = json.loads(_file(tokenizer, "tokenizer_config.json").read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        raise InputError(f"{tokenizer}: tokenizer_config.json is not a JSON object")
    return settings


def _chat_template(tokenizer: str, settings: dict[str, object]) -> str | None:
    source = settings.get("chat_template")
    if isinstance(source, str):
        return source
    try:
        return _file(tokenizer, "chat_template.jinja").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _special_tokens(settings: dict[str, object]) -> dict[str, str]:
    """The special tokens that a template may use; older files give them as objects."""
    special_tokens: dict[str, str] = {}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):
        token = settings.get(name)
        content = token.get("content") if isinstance(token, dict) else token
        if isinstance(content, str):
            special_tokens[name] = content
    return special_tokens


def _file(tokenizer: str, name: str) -> Path:
    """A file from the tokenizer's folder, or from the hub if there is no such folder."""
    folder = Path(tokenizer)
    if folder.is_dir() or tokenizer.startswith((".", "/")):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name} is missing; is {folder} a tokenizer's folder?"
            )
        return folder / name
    return _from_hub(tokenizer, name)


def _from_hub(tokenizer: str, name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(tokenizer, name))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        reason = " ".join(str(error).split())
        raise FileNotFoundError(f"no {name} of tokenizer {tokenizer!r}: {reason:.200}") from error
