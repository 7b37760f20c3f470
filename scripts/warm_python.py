"""A Python that has imported torch, transformers, TRL and vLLM, from which programs are forked.

    with WarmPython(log) as python:
        python.warm_up([command])
        if python.can_run(command):  # python sft/train.py --config ...
            status, cpu_seconds = python.start(command[1:], output).wait()

These imports take 7 to 15 s of each program's start, more than a short stage works. Here they are
paid once, while the first stages run. A program started so is a process of its own, with the same
arguments, output and exit status as after `python PROGRAM ...`.

CUDA does not survive a fork, so the imports must not touch it. The server tries it out in a first
child; where that fails, `can_run` is false, and programs are to be started as usual.
"""

import importlib.util
import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT
from types import TracebackType
from typing import Any, Self

from slmsql.cli.programs import ROOT, end_with_parent, start

PROGRAMS = ("sft/train.py", "rl/grpo.py", "inference/generate.py", "inference/revise.py")
"""Those that import torch."""
MODULES = (
    *("torch", "transformers.trainer", "datasets", "peft", "accelerate"),
    *("trl.trainer.sft_trainer", "trl.trainer.grpo_trainer", "vllm.entrypoints.llm"),
)
SERVER = "from scripts.warm_python import main; main()"
MESSAGE = 1 << 20  # bytes; a command line is far shorter


@dataclass(frozen=True)
class WarmProcess:
    """A program that was started, like a `Popen`."""

    connection: socket.socket

    def wait(self) -> tuple[int, float]:
        """Its exit status as a `Popen` gives it, and its seconds of processor time.

        Raises:
            ConnectionError: the server has ended.
        """
        answer = _receive(self.connection)
        return int(answer["status"]), float(answer["cpu_seconds"])


class WarmPython:
    """The server, which ends with this process.

    Args:
        log: file for what the server itself prints, such as warnings of the imports.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._server: Any = None
        self._connection: socket.socket | None = None
        self._is_ready: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection:
            self._connection.close()
            self._server.kill()  # it may still be importing
            self._server.wait()

    def warm_up(self, commands: Iterable[Sequence[str]]) -> None:
        """Start importing in the background if one of the commands can be run here."""
        if self._connection or not any(map(_is_heavy, commands)):
            return
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Asking NVML whether there is a GPU leaves CUDA untouched.
        environment = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
        words = ["python", "-c", SERVER, str(theirs.fileno())]
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with theirs, open(self._log, "wb") as log:
            self._server = start(
                words,
                cwd=ROOT,
                environment=environment,
                stdout=log,
                stderr=STDOUT,
                pass_fds=[theirs.fileno()],
            )

    def can_run(self, words: Sequence[str]) -> bool:
        """Whether a command can be run here; waits for the imports if it might."""
        if self._connection is None or not _is_heavy(words):
            return False
        if self._is_ready is None:
            self._is_ready = self._wait_for_imports()
            if not self._is_ready:
                print(f"  programs start without preloaded libraries; the reason is in {self._log}")
        return self._is_ready

    def _wait_for_imports(self) -> bool:
        assert self._connection is not None
        try:
            return bool(_receive(self._connection)["ready"])
        except ConnectionError:
            return False

    def start(self, words: Sequence[str], output: int) -> WarmProcess:
        """Start a program, in the repository's root and without input.

        Args:
            words: the program's path, and its arguments.
            output: file descriptor for everything that it prints.
        """
        assert self._connection is not None
        socket.send_fds(self._connection, [json.dumps(list(words)).encode()], [output])
        return WarmProcess(self._connection)


def _is_heavy(words: Sequence[str]) -> bool:
    return words[0] == "python" and words[1] in PROGRAMS


def _receive(connection: socket.socket) -> dict[str, Any]:
    message = connection.recv(MESSAGE)
    if not message:
        raise ConnectionError("the warm Python has ended")
    answer: dict[str, Any] = json.loads(message)
    return answer


def main() -> None:
    """The server's: its only word is the file descriptor of its end of the connection."""
    serve(socket.socket(fileno=int(sys.argv[1])))


def serve(connection: socket.socket) -> None:
    """Import, report, and fork a child for each request until the connection is closed.

    In a child it returns, and the child's program has the interpreter to itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the children decide
    import_all()
    connection.send(json.dumps({"ready": survives_a_fork()}).encode())
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE, 1)
        if not message:
            return
        child = os.fork()
        if child == 0:
            connection.close()
            run_as_child(json.loads(message), descriptors[0])
            return
        os.close(descriptors[0])
        _, status, usage = os.wait4(child, 0)
        answer = {
            "status": os.waitstatus_to_exitcode(status),
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
        }
        connection.send(json.dumps(answer).encode())


def import_all() -> None:
    """Import what the programs import, as far as it is installed."""
    for name in MODULES:
        if importlib.util.find_spec(name.split(".")[0]):
            importlib.import_module(name)


def survives_a_fork() -> bool:
    """Whether a child can use the machine's GPU, if there is one."""
    import torch

    child = os.fork()
    if child == 0:
        status = 1
        try:
            if torch.cuda.is_available():
                torch.zeros(1, device="cuda")
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def run_as_child(words: Sequence[str], output: int) -> None:
    """Be the interpreter that runs this program."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(ROOT)
    program = str(ROOT / words[0])
    sys.argv = [program, *words[1:]]
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")
