"""A Python that has imported torch, transformers, TRL and vLLM, from which programs are forked.

    with WarmPython(log) as python:
        python.warm_up([command])
        if python.can_run(command):  # python sft/train.py --config ...
            status, cpu_seconds = python.start(command, output).wait()

These imports take 7 to 15 s of each program's start, more than a short stage works. Here they are
paid once, while the first stages run. A program started so is a process of its own, with the same
arguments, environment, output and exit status as after `python PROGRAM ...`. After `accelerate
launch` on one machine, each process of the training is forked, too.

CUDA does not survive a fork, so the imports must not touch it. The server tries it out in a first
child; where that fails, `can_run` is false, and programs are to be started as usual. So it is for
`accelerate launch` wherever there is a GPU, because accelerate asks CUDA for its name.
"""

import atexit
import gc
import importlib.util
import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from slmsql.cli.programs import ROOT, end_with_parent, start, variables

if TYPE_CHECKING:
    from argparse import Namespace

    from torch.distributed.launcher.api import LaunchConfig

PROGRAMS = ("sft/train.py", "rl/grpo.py", "inference/generate.py", "inference/revise.py")
"""Those that import torch."""
MODULES = (
    *("torch", "transformers.trainer", "datasets", "peft", "accelerate"),
    *("trl.trainer.sft_trainer", "trl.trainer.grpo_trainer", "vllm.entrypoints.llm"),
)
SERVER = "from scripts.warm_python import main; main()"
MESSAGE = 1 << 20  # bytes; a command line and an environment are far shorter


@dataclass(frozen=True)
class WarmProcess:
    """A program that was started, like a `Popen`."""

    connection: socket.socket
    pid: int

    def wait(self) -> tuple[int, float]:
        """Its exit status as a `Popen` gives it, and its seconds of processor time.

        Raises:
            ConnectionError: the server has ended.
        """
        with self.connection:
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
        self._can_run: dict[str, bool] | None = None
        self._environment: dict[str, str] = {}

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
            if self._can_run is None:  # it may still be importing
                self._server.kill()
            self._server.wait()

    def warm_up(self, commands: Iterable[Sequence[str]]) -> None:
        """Start importing in the background if one of the commands can be run here."""
        if self._connection or not any(map(_is_heavy, commands)):
            return
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._environment = variables()
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
        if self._can_run is None:
            self._can_run = self._wait_for_imports()
            if not self._can_run["python"]:
                print(f"  programs start without preloaded libraries; the reason is in {self._log}")
        return self._can_run[words[0]]

    def _wait_for_imports(self) -> dict[str, bool]:
        assert self._connection is not None
        try:
            return _receive(self._connection)
        except ConnectionError:
            return {"python": False, "accelerate": False}

    def start(
        self,
        words: Sequence[str],
        output: int,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> WarmProcess:
        """Start a program, in the repository's root and without input.

        Args:
            words: `python PROGRAM ...` or `accelerate launch ... PROGRAM ...`.
            output: file descriptor for everything that it prints.
            environment: variables in addition to those of this process.
        """
        assert self._connection is not None
        changes = _changes(self._environment, {**variables(), **(environment or {})})
        request = json.dumps({"words": list(words), "environment": changes}).encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._connection, [request], [output, theirs.fileno()])
        return WarmProcess(ours, pid=_receive(ours)["pid"])


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str | None]:
    """The variables that differ, with their values now; None: it is gone."""
    names = before.keys() | now.keys()
    return {name: now.get(name) for name in names if now.get(name) != before.get(name)}


def _is_heavy(words: Sequence[str]) -> bool:
    """Whether a command starts one of the programs, alone or with `accelerate launch`."""
    candidates = words[1:2] if words[0] == "python" else words
    return words[0] in ("python", "accelerate") and not set(PROGRAMS).isdisjoint(candidates)


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
    folders = own_temporary_folders()
    connection.send(json.dumps(what_survives_a_fork()).encode())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a child
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE, 2)
        if not message:
            for folder in folders:
                folder.cleanup()
            return
        if os.fork() == 0:
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            run_watched(json.loads(message), *descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def run_watched(request: Mapping[str, Any], output: int, answers: int) -> None:
    """Run a program in a child, and send its pid, then its end. In the child it returns."""
    end_with_parent()
    child = os.fork()
    if child == 0:
        os.close(answers)
        run_as_child(request["words"], request["environment"], output)
        return
    os.close(output)
    connection = socket.socket(fileno=answers)
    connection.send(json.dumps({"pid": child}).encode())
    _, status, usage = os.wait4(child, 0)
    answer = {
        "status": os.waitstatus_to_exitcode(status),
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }
    connection.send(json.dumps(answer).encode())
    os._exit(0)


def import_all() -> None:
    """Import what the programs import, as far as it is installed."""
    for name in MODULES:
        if importlib.util.find_spec(name.split(".")[0]):
            importlib.import_module(name)


def own_temporary_folders() -> list[TemporaryDirectory[str]]:
    """The folders that the imports made, such as wandb's for media; a child no longer deletes them.

    Otherwise the first one would do so at its end, and the next would miss them.
    """
    folders = [thing for thing in gc.get_objects() if type(thing) is TemporaryDirectory]
    for folder in folders:
        atexit.unregister(folder.cleanup)
        vars(folder)["_finalizer"].atexit = False
    return folders


def what_survives_a_fork() -> dict[str, bool]:
    """Whether commands that begin with these words can be run in a child."""
    import torch

    python = survives_a_fork()
    return {"python": python, "accelerate": python and not torch.cuda.is_available()}


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


def run_as_child(words: Sequence[str], changes: Mapping[str, str | None], output: int) -> None:
    """Be the interpreter that runs this command.

    Args:
        changes: of the environment; other variables may be set by the libraries at their import.
    """
    end_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(ROOT)
    for name, value in changes.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    if words[0] == "accelerate":
        launch(words[2:])
    else:
        run_python(words[1:])


def run_python(words: Sequence[str]) -> None:
    """As `python PROGRAM ...` does in this environment."""
    if threads := os.environ.get("OMP_NUM_THREADS"):  # read before the fork, when it was another
        import torch

        torch.set_num_threads(int(threads))
    program = str(ROOT / words[0])
    sys.argv = [program, *words[1:]]
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")


def launch(words: Sequence[str]) -> None:
    """As `accelerate launch` on one machine, but the processes of the training are forked."""
    from accelerate.commands import launch as accelerate_launch
    from torch.distributed import run as torchrun

    vars(accelerate_launch)["simple_launcher"] = run_alone
    vars(torchrun)["elastic_launch"] = fork_ranks
    sys.argv = ["accelerate launch", *words]
    accelerate_launch.main()


def run_alone(arguments: "Namespace") -> None:
    """In place of accelerate's function for one process."""
    from accelerate.utils.launch import prepare_simple_launcher_cmd_env

    command, environment = prepare_simple_launcher_cmd_env(arguments)
    os.environ.update(environment)
    run_python(command[1:])


def fork_ranks(config: "LaunchConfig", entrypoint: str) -> Callable[..., None]:
    """In place of torchrun's class that starts the processes of a machine.

    Args:
        config: how many there are.
        entrypoint: the executable, which is not needed.
    """
    from accelerate.utils.other import get_free_port

    assert config.max_nodes == 1, "processes of several machines are not forked"
    count = config.nproc_per_node
    environment = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(get_free_port()),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }

    def run_ranks(unbuffered: str, *words: str) -> NoReturn:
        ranks = set()
        for rank in map(str, range(count)):
            child = os.fork()
            if child == 0:
                end_with_parent()
                os.environ.update({**environment, "RANK": rank, "LOCAL_RANK": rank})
                run_python(words)
                sys.exit()
            ranks.add(child)
        sys.exit(wait_for_all(ranks))

    return run_ranks


def wait_for_all(children: set[int]) -> int:
    """Wait for processes; once one has failed, end the others. Returns 0, or 1 if one failed."""
    failed = 0
    while children:
        child, status = os.wait()
        children.discard(child)
        if status and not failed:
            failed = 1
            for other in children:
                os.kill(other, signal.SIGTERM)
    return failed
