"""How many tokens a conversation has, by the actual tokenizer and its chat template.

It needs the packages `tokenizers` and `jinja2` but not transformers, whose import takes seconds and
hundreds of megabytes in each worker process.
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
    """Tokens of a whole conversation, as training sees it.

    Args:
        tokenizer: folder with `tokenizer.json`, or a name on the Hugging Face hub.
    """
    encode, render = _loaded(tokenizer)
    return encode(render(messages))


@cache
def _loaded(tokenizer: str) -> tuple[Callable[[str], int], Render]:
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(_file(tokenizer, "tokenizer.json")))

    def count(text: str) -> int:
        return len(loaded.encode(text, add_special_tokens=False).ids)

    return count, _render(tokenizer)


def _render(tokenizer: str) -> Render:
    from jinja2.exceptions import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    settings = _settings(tokenizer)
    source = _template(tokenizer, settings)
    if source is None:
        return lambda messages: "\n".join(message["content"] for message in messages)

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["raise_exception"] = refuse
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    # Marks of the assistant's part, which transformers knows and Jinja does not.
    plain = re.sub(r"\{%(-?)\s*(?:end)?generation\s*(-?)%\}", r"{#\1 \2#}", source)
    template = environment.from_string(plain)
    return lambda messages: template.render(messages=messages, **_special(settings))


def _settings(tokenizer: str) -> dict[str, object]:
    settings = json.loads(_file(tokenizer, "tokenizer_config.json").read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        raise InputError(f"{tokenizer}: tokenizer_config.json is no JSON object")
    return settings


def _template(tokenizer: str, settings: dict[str, object]) -> str | None:
    source = settings.get("chat_template")
    if isinstance(source, str):
        return source
    try:
        return _file(tokenizer, "chat_template.jinja").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _special(settings: dict[str, object]) -> dict[str, str]:
    """Special tokens that a template may name; older files give them as objects."""
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    found: dict[str, str] = {}
    for name in names:
        token = settings.get(name)
        content = token.get("content") if isinstance(token, dict) else token
        if isinstance(content, str):
            found[name] = content
    return found


def _file(tokenizer: str, name: str) -> Path:
    """A file of a tokenizer's folder, or of the hub where there is no such folder."""
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
