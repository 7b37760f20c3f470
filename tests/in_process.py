"""Runs a program's file in this process: all of it is real but the start of the interpreter."""

import io
import runpy
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

ROOT = Path(__file__).parent.parent


def run_here(program, *words, typed=""):
    """As `python PROGRAM WORD ...` in the repository, with `typed` as its standard input.

    An exception that is not an exit is raised here.
    """
    out, err, status = io.StringIO(), io.StringIO(), 0
    arguments = [str(ROOT / program), *map(str, words)]
    terminal = patch.multiple(sys, argv=arguments, stdin=io.StringIO(typed))
    with chdir(ROOT), terminal, redirect_stdout(out), redirect_stderr(err):
        try:
            runpy.run_path(arguments[0], run_name="__main__")
        except SystemExit as end:
            status = int(end.code or 0)
    return CompletedProcess(arguments, status, out.getvalue(), err.getvalue())
