"""Writes the pages of the documentation that come from the code; mkdocs calls it as a hook.

`reference/programs.md` lists each program with its options, read from the dataclass that the
program itself parses. The trainer's own options (TRL's) are not repeated there.
"""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

THIS = Path(__file__)
ROOT = THIS.parent.parent
sys.path.insert(0, str(ROOT))  # mkdocs loads this file by its path

from slmsql.cli.config import OptionHelp, options_of  # noqa: E402

PROGRAMS = ("slmsql/commands/*.py", "sft/train.py", "rl/grpo.py", "inference/*.py", "scripts/*.py")
OPTIONS_ELSEWHERE = {"sft.train": "sft.options", "rl.grpo": "rl.options"}
INTRODUCTION = """# Programs and options

Every program takes `--config FILE.yaml`, which can set any option; the command line overrides it.
`--help` shows the same text as this page, which is made from the code.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated page to those that mkdocs found in docs/."""
    page = File.generated(config, "reference/programs.md", content=programs_page())
    files.append(page)
    return files


def programs_page() -> str:
    """The page of all programs, in Markdown."""
    paths = [path for pattern in PROGRAMS for path in sorted(ROOT.glob(pattern))]
    return INTRODUCTION + "".join(_program(path) for path in paths if _is_program(path))


def _is_program(path: Path) -> bool:
    """Whether the file has options of its own: no helper, and no second door to a command."""
    text = path.read_text(encoding="utf-8")
    is_command = path.parent.name == "commands" and path.stem != "__init__"
    return is_command or ("if __name__ ==" in text and "run_command" not in text and path != THIS)


def _program(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    module = name.removesuffix(".py").replace("/", ".")
    if path.parent.name == "commands":
        name = f"slmsql {path.stem}"
    about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    kind = importlib.import_module(OPTIONS_ELSEWHERE.get(module, module)).Options
    return "\n".join([f"\n## {name}\n", as_markdown(about), "", *_tables(options_of(kind)), ""])


def as_markdown(about: str) -> str:
    """A docstring as Markdown: options become code, `<` stays a character; examples stay as is."""
    paragraphs = about.split("\n\n")
    return "\n\n".join(text if text.startswith("    ") else _prose(text) for text in paragraphs)


def _prose(text: str) -> str:
    return re.sub(r"(`[^`]*`)|((?<![\w-])--\w+)|<", _replacement, text)


def _replacement(part: re.Match[str]) -> str:
    code, option = part.groups()
    return code or (f"`{option}`" if option else "&lt;")


def _tables(options: list[OptionHelp]) -> Iterator[str]:
    group: str | None = None
    for option in options:
        if option.group != group:
            group = option.group
            yield f"\n{group or 'Options'}:\n\n| option | default | meaning |\n|---|---|---|"
        default = "required" if option.required else f"`{option.default}`" if option.default else ""
        yield f"| `--{option.name}` | {default} | {_cell(option.meaning)} |"


def _cell(text: str) -> str:
    return as_markdown(text).replace("|", "\\|")
