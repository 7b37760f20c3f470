"""Fill a dataclass of options from a YAML file and the command line.

    options = parse(Options, about=__doc__)

`--config FILE.yaml` is read as if its lines stood first on the command line, so a wrong name, type
or choice gets the same one-line error in both places. (TRL's own parser turns the file's values
into defaults, and argparse does not check defaults.) A program's own options are checked before
anything heavy is imported: `--help` shows them at once, `--help_all` those of the trainer too.

We tried tyro 1.0.17 and kept this parser. tyro prints an error as a box of several lines, does not
read YAML, lets the last of two equal options win in silence, and cannot take all of TRL's options:
it stops at `--model_init_kwargs`, a dictionary without a default. What it does better, options
composed of several dataclasses, `parse` can do as well.
"""

import argparse
import importlib
import json
import logging
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from slmsql.errors import InputError

T = TypeVar("T")

# While the main process encodes rows or runs gold queries, the others wait at a barrier. TRL's
# 30 minutes are too short for large files; the value counts from the moment the processes connect.
TRAINER_DEFAULTS = {"ddp_timeout": 6 * 3600}  # seconds


def parse(
    options: type[T],
    *,
    about: str | None,
    argv: Sequence[str] | None = None,
    essential: Sequence[str] = (),
) -> T:
    """Fill a dataclass from `--config FILE.yaml` and from the options that override it.

    Args:
        options: a dataclass. Each field is an option, with the metadata `help` as its help text. If
            a field's type is a dataclass, the fields of that dataclass are options as well.
        about: text for --help, normally the program's `__doc__`.
        argv: the words of the command line; default: those of this process.
        essential: the options that --help shows; --help_all shows all. Default: all of them.

    Raises:
        SystemExit: an option is unknown or a value is wrong; a one-line error has been printed.
    """
    parser = parser_of(options, about)
    words = _with_file(argv, parser)
    if essential:
        _answer_help(words, parser, options, about, essential)
    return _fill(options, parser.parse_args(words), parser)


def parse_with_trainer(
    options: type[T],
    trainer: Sequence[str],
    *,
    about: str | None,
    argv: Sequence[str] | None = None,
    check_first: Callable[[T, Sequence[str]], Sequence[str]] | None = None,
) -> tuple[T, tuple[Any, ...]]:
    """Fill a dataclass as `parse` does, and the trainer's dataclasses with the remaining options.

    The trainer's module is imported only after the program's own options have been checked.
    `TRAINER_DEFAULTS` replace the trainer's own.

    Args:
        trainer: the trainer's dataclasses as `module:name`, such as `trl:GRPOConfig`.
        check_first: is called with the options and the words for the trainer before its module is
            imported, which takes seconds; returns further words for the trainer.
    """
    parser = parser_of(options, about, note=f"All options of {', '.join(trainer)} work too. ")
    words = _with_file(argv, parser)
    if "--help_all" in words:
        parser.print_help()
        _trainer_options(trainer, ["--help"])  # prints and exits
    parsed, remaining = parser.parse_known_args(words)
    filled = _fill(options, parsed, parser)
    implied = check_first(filled, remaining) if check_first else []
    return filled, _trainer_options(
        trainer, [*as_arguments(TRAINER_DEFAULTS), *remaining, *implied]
    )


@dataclass(frozen=True, slots=True)
class OptionHelp:
    """What --help says of an option."""

    name: str
    group: str
    """The heading of the nested dataclass that it belongs to; empty for the program's own."""
    meaning: str
    default: str
    """As it would be written on the command line; empty if there is none."""
    required: bool


def options_of(options: Any, group: str = "") -> list[OptionHelp]:
    """The options that `parse` makes of a dataclass, for documentation."""
    kinds = get_type_hints(options)
    helps: list[OptionHelp] = []
    for field in fields(options):
        kind, default = kinds[field.name], _default(field)
        if is_dataclass(kind):
            helps += options_of(kind, _heading(kind, field))
        else:
            meaning, required = str(field.metadata.get("help", "")), default is MISSING
            shown = "" if required or default in (None, "", []) else _shown(default)
            helps.append(OptionHelp(field.name, group, meaning, shown, required))
    return helps


def load_config(path: Path) -> dict[str, Any]:
    """Read a config file of `name: value` lines.

    Raises:
        InputError: the file is not YAML or not a mapping, or a key occurs twice or has no value.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected `name: value` lines, got {type(content).__name__}")
    for name, value in content.items():
        if value is None:
            raise InputError(f"{path}: {name} has no value; remove the line to use the default")
    return content


def as_arguments(content: dict[str, Any]) -> list[str]:
    """Return a config as command-line words: a list as several words, a mapping as JSON."""
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
    """Return the command-line words that give a program these options, without defaults."""
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
    """Rejects a key that occurs twice; YAML itself keeps the last one in silence."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.YAMLError(f"the key {key!r} occurs twice")
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class _Parser(argparse.ArgumentParser):
    """Prints an error as one line, without the usage of two hundred options."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def _with_file(argv: Sequence[str] | None, parser: argparse.ArgumentParser) -> list[str]:
    """Return the words of the config file, if there is one, and then those of the command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    words = [part for word in words for part in _split_config(_underscored(word))]
    if "--config" not in words:
        return words
    position = words.index("--config")
    if position + 1 == len(words):
        parser.error("--config needs a file")
    content = load_config(Path(words[position + 1]))
    return [*as_arguments(content), *words[:position], *words[position + 2 :]]


def _underscored(word: str) -> str:
    """Turn `--test-suite` into `--test_suite`, so that both spellings work."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _split_config(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--config=") else [word]


def _answer_help(
    words: Sequence[str],
    parser: _Parser,
    options: type,
    about: str | None,
    essential: Sequence[str],
) -> None:
    """Print the essential options for --help, or all for --help_all, and exit."""
    if "--help_all" in words:
        parser.print_help()
    elif {"-h", "--help"} & set(words):
        more = len(options_of(options)) - len(essential)
        short = _parser(about, f"--help_all shows {more} more options. ")
        every = {field.name: (field, kind) for field, kind in _flat(options)}
        for name in essential:
            _add(short, *every[name])
        short.print_help()
    else:
        return
    parser.exit()


def _flat(options: Any) -> Iterator[tuple[Field[Any], Any]]:
    """The fields of a dataclass and of those nested in it, with their types."""
    kinds = get_type_hints(options)
    for field in fields(options):
        if is_dataclass(kinds[field.name]):
            yield from _flat(kinds[field.name])
        else:
            yield field, kinds[field.name]


def parser_of(options: type, about: str | None, note: str = "") -> _Parser:
    parser = _parser(about, note)
    _add_all(parser, options, parser)
    return parser


def _parser(about: str | None, note: str) -> _Parser:
    return _Parser(
        usage="%(prog)s [--config FILE.yaml] [--OPTION VALUE ...]",
        description=about,
        epilog=f"{note}--config FILE.yaml can set any option; the command line overrides it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_all(
    parser: argparse.ArgumentParser, options: Any, group: argparse._ActionsContainer
) -> None:
    """Add the fields of a dataclass as options; --help shows a nested dataclass as a group."""
    kinds = get_type_hints(options)
    for field in fields(options):
        kind = kinds[field.name]
        if is_dataclass(kind):
            _add_all(parser, kind, parser.add_argument_group(_heading(kind, field)))
        else:
            _add(group, field, kind)


def _heading(kind: Any, field: Field[Any]) -> str:
    """The heading of a nested dataclass in --help: the first line of its docstring."""
    return (kind.__doc__ or field.name).splitlines()[0].rstrip(".")


def _add(group: argparse._ActionsContainer, field: Field[Any], kind: Any) -> None:
    default = _default(field)
    required = default is MISSING
    help_text = str(field.metadata.get("help", "")).replace("%", "%%")
    if required:
        help_text += " (required)"
    elif default not in (None, "", []):
        help_text += f" (default: {_shown(default)})"
    group.add_argument(
        f"--{field.name}",
        required=required,
        default=argparse.SUPPRESS,
        help=help_text.strip(),
        **_argument(kind),
    )


def _shown(default: Any) -> str:
    """Return a default as it would be written on the command line."""
    if isinstance(default, list):
        return " ".join(map(_shown, default))
    if isinstance(default, bool):
        return str(default).lower()
    return str(default.value if isinstance(default, Enum) else default)


def _argument(kind: Any) -> dict[str, Any]:
    if get_origin(kind) in (Union, types.UnionType):  # `X | None`, where None is the default
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


def _fill(options: type[T], parsed: argparse.Namespace, parser: argparse.ArgumentParser) -> T:
    try:
        filled: T = _build(options, vars(parsed))
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
    # At import, bitsandbytes recommends a faster CPU kernel; that is noise here.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    from transformers import HfArgumentParser

    class Parser(_Parser, HfArgumentParser):
        """The parser of transformers with our one-line errors."""

    kinds: list[Any] = [_load(name) for name in trainer]
    parser = Parser(kinds, allow_abbrev=False)
    try:
        *filled, unknown = parser.parse_args_into_dataclasses(
            list(words), return_remaining_strings=True
        )
    except ValueError as error:  # a cross-check in the trainer's dataclass
        parser.error(" ".join(str(error).split()))
    if unknown:
        parser.error(f"unknown option {' '.join(unknown)}")
    for part in filled:
        if hasattr(part, "report_to"):
            part.report_to = _trackers(part.report_to, parser)
    return tuple(filled)


def _trackers(words: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """Split `wandb,tensorboard` and check the names now; the trainer checks them after loading."""
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK as TRACKERS

    names = [name for word in words for name in word.split(",")]
    for name in names:
        if name not in TRACKERS:
            parser.error(
                f"argument --report_to: unknown tracker {name!r}; choose from {', '.join(TRACKERS)}"
            )
    return names


def _load(name: str) -> type:
    module, _, kind = name.partition(":")
    loaded: type = getattr(importlib.import_module(module), kind)
    return loaded
