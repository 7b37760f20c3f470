"""The --help of each program begins with an example command, whose options are right."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from slmsql.cli.config import as_arguments, load_config, parser_of

ROOT = Path(__file__).parent.parent
PROGRAMS = [
    path.relative_to(ROOT)
    for folder in ("scripts", "inference")
    for path in sorted((ROOT / folder).glob("*.py"))
    if "run_program(" in path.read_text()
]


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_the_example_names_its_program_and_options_that_exist(program):
    module = importlib.import_module(".".join(program.with_suffix("").parts))
    summary, block = re.match(r"(.+)\n\n((?:    .*\n)+)", module.__doc__).groups()
    assert summary.endswith((".", ":", "?"))
    example = re.search(r"python (?:.*\\\n)*.*", block)[0]
    _, path, *words = shlex.split(example.replace("\\\n", " "))
    assert path == str(program)
    if "--config" in words:
        position = words.index("--config")
        content = load_config(ROOT / words[position + 1])
        words[position : position + 2] = as_arguments(content)
    parser_of(module.Options, about=None).parse_args(words)


@pytest.mark.slow
def test_each_program_starts_in_any_folder(tmp_path):
    """Most tests run programs in their own process, where all paths are set already."""
    for program in PROGRAMS:
        ended = subprocess.run(
            [sys.executable, ROOT / program, "--help"], cwd=tmp_path, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
        assert f"python {program}" in ended.stdout
