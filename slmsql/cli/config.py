"""Options of a program: its YAML file, then the command line, checked alike.

The file is read as if it stood first on the command line, so that a wrong key, type or choice is
refused wherever it is written (TRL's own parser lets several through: it makes the file's values
defaults, which argparse does not check). A program's own options are checked before anything heavy
is imported; `--help` shows those at once, `--help_all` those of the trainer too.
"""

import argparse
import importlib
import json
import logging
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from slmsql.errors import InputError

T = TypeVar("T")


def parse(options: type[T], *, about: str | None, argv: Sequence[str] | None = None) -> T:
    """Fill a dataclass from `--config FILE.yaml` and from options that override it.

    Args:
        options: a dataclass; each field is an option, its `help` metadata the help text. A field
            whose type is a dataclass is a part: its fields are options of the program too.
        about: what the program is for, normally its `__doc__`.

    Raises:
        SystemExit: an unknown option or a wrong value, after one line that names it.
    """
    parser = _parser(options, about)
    return _fill(options, parser.parse_args(_with_file(argv, parser)), parser)


def parse_with_trainer(
    options: type[T],
    trainer: Sequence[str],
    *,
    about: str | None,
    argv: Sequence[str] | None = None,
) -> tuple[T, tuple[Any, ...]]:
    """As `parse`, with further dataclasses such as `trl:GRPOConfig` behind the program's own.

    The program's own options are checked first; only then the trainer's module is imported.
    """
    parser = _parser(options, about, note=f"Further options: those of {', '.join(trainer)}; ")
    words = _with_file(argv, parser)
    if "--help_all" in words:
        words = ["--help"]
    elif not {"--help", "-h"} & set(words):
        known, words = parser.parse_known_args(words)
        own = _fill(options, known, parser)
        return own, _trainer_options(trainer, words)
    else:
        parser.parse_args(["--help"])
    return _show_all(parser, trainer)


def load_config(path: Path) -> dict[str, Any]:
    """Read a config file: flat keys, each once.

    Raises:
        InputError: not YAML, not a mapping, a key twice, or a key without a value.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected `name: value` lines, got {type(content).__name__}")
    for name, value in content.items():
        if value is None:
            raise InputError(f"{path}: {name} has no value; leave the key out for its default")
    return content


def as_arguments(content: dict[str, Any]) -> list[str]:
    """A config as command-line words: lists as several words, mappings as JSON."""
    words: list[str] = []
    for name, value in content.items():
        if isinstance(value, list):
            words += [f"--{name}", *map(str, value)]
        elif isinstance(value, dict):
            words.append(f"--{name}={json.dumps(value)}")
        else:
            words.append(f"--{name}={value}")
    return words


def words_of(options: Any) -> list[str]:
    """The command-line words that give a program these options; defaults are left out."""
    return as_arguments(_changed(options))


def _changed(options: Any) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            changed |= _changed(value)
        elif value is not None and value != _default(field):
            changed[field.name] = value
    return changed


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


class _UniqueKeys(yaml.SafeLoader):
    """YAML silently keeps the last of two equal keys; here that is an error."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.YAMLError(f"the key {key!r} stands twice")
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class _Parser(argparse.ArgumentParser):
    """An error is one line and the way to help, without the usage of two hundred options."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def _with_file(argv: Sequence[str] | None, parser: argparse.ArgumentParser) -> list[str]:
    words = list(sys.argv[1:] if argv is None else argv)
    words = [part for word in words for part in _split_config(_underscored(word))]
    if "--config" not in words:
        return words
    at = words.index("--config")
    if at + 1 == len(words):
        parser.error("--config needs a file")
    content = load_config(Path(words[at + 1]))
    return [*as_arguments(content), *words[:at], *words[at + 2 :]]


def _underscored(word: str) -> str:
    """`--test-suite` as `--test_suite`: both are common, and no option has a dash in its name."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _split_config(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--config=") else [word]


def _parser(options: type, about: str | None, note: str = "") -> _Parser:
    parser = _Parser(
        description=about,
        epilog=f"{note}--config FILE.yaml gives any of them; the command line overrides it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_all(parser, options)
    return parser


def _add_all(group: argparse._ActionsContainer, options: Any) -> None:
    """Add a dataclass's options; those of its parts stand under headings of their own in --help."""
    kinds = get_type_hints(options)
    for field in fields(options):
        kind = kinds[field.name]
        if is_dataclass(kind):
            heading = (kind.__doc__ or field.name).splitlines()[0].rstrip(".")
            _add_all(group.add_argument_group(heading), kind)
        else:
            _add(group, field, kind)


def _add(group: argparse._ActionsContainer, field: Field[Any], kind: Any) -> None:
    default = _default(field)
    required = default is MISSING
    help_text = str(field.metadata.get("help", "")).replace("%", "%%")
    if not required and default is not None:
        help_text += f" (default: {_shown(default)})"
    group.add_argument(
        f"--{field.name}",
        required=required,
        default=argparse.SUPPRESS,
        help=help_text.strip(),
        **_argument(kind),
    )


def _shown(default: Any) -> str:
    if isinstance(default, list):
        return " ".join(map(_shown, default)) or "none"
    return str(default.value if isinstance(default, Enum) else default)


def _argument(kind: Any) -> dict[str, Any]:
    if get_origin(kind) in (Union, types.UnionType):  # `X | None`: left out means None
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is list:
        return {"nargs": "+", **_argument(get_args(kind)[0])}
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind)}
    if kind is bool:
        return {"type": _boolean, "nargs": "?", "const": True, "metavar": "true|false"}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"type": str, "choices": [member.value for member in kind]}
    return {"type": kind, "metavar": kind.__name__.upper()}


def _boolean(word: str) -> bool:
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if word.lower() not in values:
        raise argparse.ArgumentTypeError(f"expected true or false, got {word!r}")
    return values[word.lower()]


def _fill(options: type[T], known: argparse.Namespace, parser: argparse.ArgumentParser) -> T:
    try:
        filled: T = _build(options, vars(known))
        return filled
    except ValueError as error:  # a cross-check in __post_init__
        parser.error(str(error))


def _build(options: Any, values: Mapping[str, Any]) -> Any:
    kinds = get_type_hints(options)
    arguments: dict[str, Any] = {}
    for name in (field.name for field in fields(options)):
        if is_dataclass(kinds[name]):
            arguments[name] = _build(kinds[name], values)
        elif name in values:
            arguments[name] = _member(kinds[name], values[name])
    return options(**arguments)


def _member(kind: Any, value: Any) -> Any:
    is_enum = isinstance(kind, type) and issubclass(kind, Enum)
    return kind(value) if is_enum else value


def _trainer_options(trainer: Sequence[str], words: Sequence[str]) -> tuple[Any, ...]:
    # bitsandbytes warns of a faster kernel for CPUs at import, which nobody asked for.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    from transformers import HfArgumentParser

    class Parser(_Parser, HfArgumentParser):
        """The trainer's parser with our one-line errors."""

    kinds: list[Any] = [_load(name) for name in trainer]
    parser = Parser(kinds, allow_abbrev=False)
    try:
        *filled, unknown = parser.parse_args_into_dataclasses(
            list(words), return_remaining_strings=True
        )
    except ValueError as error:  # cross-checks of the trainer's own
        parser.error(" ".join(str(error).split()))
    if unknown:
        parser.error(f"unknown option {' '.join(unknown)}")
    for part in filled:
        if hasattr(part, "report_to"):
            part.report_to = _trackers(part.report_to, parser)
    return tuple(filled)


def _trackers(words: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """`wandb,tensorboard` as two names; the trainer itself looks at them only after loading."""
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK as KNOWN

    names = [name for word in words for name in word.split(",")]
    if unknown := [name for name in names if name not in KNOWN]:
        parser.error(f"argument --report_to: {unknown[0]!r} is none of {', '.join(KNOWN)}")
    return names


def _show_all(parser: argparse.ArgumentParser, trainer: Sequence[str]) -> NoReturn:
    parser.print_help()
    _trainer_options(trainer, ["--help"])
    raise SystemExit(0)


def _load(name: str) -> type:
    module, _, kind = name.partition(":")
    loaded: type = getattr(importlib.import_module(module), kind)
    return loaded
