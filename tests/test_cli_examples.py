"""The --help of each program and command begins with an example, whose options are right."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from slmsql.cli.config import as_arguments, load_config, parser_of
from slmsql.commands import COMMANDS

ROOT = Path(__file__).parent.parent
FILES = [
    path.relative_to(ROOT)
    for folder in ("scripts", "inference")
    for path in sorted((ROOT / folder).glob("*.py"))
]
PROGRAMS = [path for path in FILES if "run_program(" in (ROOT / path).read_text()]
DOORS = [path for path in FILES if "run_command(" in (ROOT / path).read_text()]


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_the_example_names_its_program_and_options_that_exist(program):
    name = ".".join(program.with_suffix("").parts)
    assert check_example(importlib.import_module(name)) == ["python", str(program)]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_names_its_command_and_options_that_exist(command):
    module = importlib.import_module(f"slmsql.commands.{command}")
    assert check_example(module) == ["slmsql", command]


def check_example(module):
    """Parse the example's options; returns its first two words."""
    summary, block = re.match(r"(.+)\n\n((?:    .*\n)+)", module.__doc__).groups()
    assert summary.endswith((".", ":", "?"))
    example = re.search(r"(python|slmsql) (?:.*\\\n)*.*", block)[0]
    start, name, *words = shlex.split(example.replace("\\\n", " "))
    if "--config" in words:
        position = words.index("--config")
        content = load_config(ROOT / words[position + 1])
        words[position : position + 2] = as_arguments(content)
    parser_of(module.Options, about=None).parse_args(words)
    return [start, name]


def test_each_command_has_a_door_in_the_checkout():
    named = [re.search(r'run_command\("(\w+)"\)', (ROOT / door).read_text())[1] for door in DOORS]
    assert sorted(named) == sorted(COMMANDS)


@pytest.mark.slow
def test_each_program_starts_in_any_folder(tmp_path):
    """Most tests run programs in their own process, where all paths are set already."""
    for program in (*PROGRAMS, *DOORS):
        ended = subprocess.run(
            [sys.executable, ROOT / program, "--help"], cwd=tmp_path, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
        assert (f"python {program}" if program in PROGRAMS else "slmsql ") in ended.stdout
