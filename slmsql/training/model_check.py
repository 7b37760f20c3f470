"""Check within seconds that a model exists, before anything is loaded.

The loaders themselves ask an unreachable hub again and again, for minutes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slmsql.errors import InputError
from slmsql.training.adapters import base_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig
    from trl import ModelConfig

HUB_TIMEOUT = 5.0  # seconds; the hub is asked once


def check_model(
    name: str | None, *, file: str = "config.json", revision: str | None = None
) -> None:
    """Check that a name is a model folder or a model on the Hugging Face hub.

    Args:
        file: which the folder must contain; an adapter has `adapter_config.json`.
        revision: branch, tag or commit on the hub.

    Raises:
        InputError: the name is empty, the folder is missing or lacks the file, or the hub does not
            have the model, does not give access to it or does not answer.
    """
    if not name:
        raise InputError("no model is named: give a model folder or a name on the hub")
    path = Path(name)
    if path.is_dir():
        if not (path / file).is_file():
            raise InputError(f"{name} is not a model folder: there is no {file} in it")
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(f"{name} is not a model folder: there is no such folder")
    else:
        _check_hub(name, file, revision)


def check_named_model(words: Sequence[str]) -> None:
    """Check the model that the words of a command line name for TRL, without importing TRL.

    Raises:
        InputError: as `check_model`.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--model_name_or_path", nargs="?")
    parser.add_argument("--model_revision", nargs="?")
    named, _ = parser.parse_known_args(words)
    name = named.model_name_or_path or ""
    check_model(base_of(name) or name, revision=named.model_revision)


def load_configuration(model: "ModelConfig") -> "PretrainedConfig":
    """The configuration of a model, or of an adapter's base model; no weights are loaded.

    Raises:
        InputError: no model was named, it does not exist, or transformers cannot load its kind.
    """
    from transformers import AutoConfig

    name = base_of(model.model_name_or_path or "") or model.model_name_or_path or ""
    check_model(name, revision=model.model_revision)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(name, revision=model.model_revision)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name} has a configuration that cannot be read: {reason}") from error
    return config


def _check_hub(name: str, file: str, revision: str | None) -> None:
    from httpx import HTTPError
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.constants import is_offline_mode
    from huggingface_hub.errors import HFValidationError

    try:
        if isinstance(try_to_load_from_cache(name, file, revision=revision), str):
            return
        if is_offline_mode():
            raise InputError(
                f"{name} is not a folder and not in the cache, and access to the hub is off"
            )
        get_hf_file_metadata(hf_hub_url(name, file, revision=revision), timeout=HUB_TIMEOUT)
    except HFValidationError as error:
        raise InputError(f"{name} is not a folder and cannot be a name on the hub") from error
    except HTTPError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{name} is not a folder, and cannot be loaded from the hub: {reason:.160}"
        ) from error
