"""Runs programs of this repository as processes that find their libraries imported.

    status, text = Program(warm, ["python", "sft/train.py", ...], folder / "log").finish()
    result = call(warm, folder, function_of_a_test_module, *arguments)

Each is forked from a Python that has done nothing but import: all is real but these 10 s. How
programs start by themselves is tested where this module is not used.
"""

import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from scripts.warm_python import WarmPython

SERVER = """
from scripts import warm_python
warm_python.MODULES += ("deepspeed",)
warm_python.main()
"""


@contextmanager
def warm_python(log: Path) -> Iterator[WarmPython]:
    """A Python to fork from that is ready; its own output goes to the log."""
    command = ["python", "sft/train.py"]
    with patch("scripts.warm_python.SERVER", SERVER), WarmPython(log) as python:
        python.warm_up([command])
        assert python.can_run(command), log.read_text()
        yield python


class Program:
    """A program that runs in the repository's root.

    Args:
        words: `python PROGRAM ...` or `accelerate launch ... PROGRAM ...`.
        log: file for all that it prints.
        environment: variables in addition to those of the test.
    """

    def __init__(self, python: WarmPython, words: list[str], log: Path, **environment: str) -> None:
        environment = {"OMP_NUM_THREADS": "1", **environment}
        with open(log, "wb") as output:
            self._process = python.start(words, output.fileno(), environment=environment)
        self._log = log

    def is_running(self) -> bool:
        return psutil.pid_exists(self._process.pid)

    def kill(self) -> None:
        """Kill -9 the program, and the processes that it has started."""
        if self.is_running():
            kill_all(self._process.pid)
            self._process.wait()

    def finish(self) -> tuple[int, str]:
        """Wait for its end; its exit status and its output."""
        status, _ = self._process.wait()
        return status, self._log.read_text()


def kill_all(pid: int) -> None:
    """Kill -9 a process and all that it has started, a launcher before its ranks."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                one.kill()


def call(python: WarmPython, folder: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a test module returns, called in a process of its own."""
    file = folder / "call.pickle"
    file.write_bytes(pickle.dumps((function, arguments)))
    words = ["python", "tests/warm_programs.py", str(file)]
    status, text = Program(python, words, folder / "call.log").finish()
    assert status == 0, text[-3000:]
    return pickle.loads(file.read_bytes())


def answer_call(file: Path) -> None:
    """The other side of `call`."""
    function, arguments = pickle.loads(file.read_bytes())
    file.write_bytes(pickle.dumps(function(*arguments)))


if __name__ == "__main__":
    answer_call(Path(sys.argv[1]))
