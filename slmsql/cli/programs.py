"""Run a program of this repository as a process of its own.

    status = run(["python", "inference/vote.py", "--candidates", "candidates.jsonl", ...])

prints the command, runs it and returns its exit status. The process ends when its parent ends,
however that happens: a stage that outlives a killed chain would write into the files of the next
one.
"""

import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
Stream = int | IO[bytes] | None


def run(words: Sequence[str], *, cwd: Path | None = None) -> int:
    """Print a command, run it to its end and return its exit status (0: success)."""
    print(f"\n$ {shlex.join(words)}", flush=True)
    with start(words, cwd=cwd) as process:
        return process.wait()


def start(
    words: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdout: Stream = None,
    stderr: Stream = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command without input; its output arrives as it is printed.

    Args:
        words: the command. `python`, `accelerate` and `trl` are those of this environment, whether
            it is activated or not; the path of the program is relative to the repository's root.
        cwd: folder to run it in; default: the current one, so that relative paths of data hold.
        environment: variables in addition to those of this process.
        stdout: as for `subprocess.Popen`.
        stderr: as for `subprocess.Popen`.
        pass_fds: as for `subprocess.Popen`.
    """
    return subprocess.Popen(
        _command_line(words),
        cwd=cwd,
        env={**variables(), "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        preexec_fn=end_with_parent,
        pass_fds=pass_fds,
    )


def variables() -> dict[str, str]:
    """The environment of this process, with the folder of its Python first on the path.

    DeepSpeed looks there for ninja, whether the environment is activated or not. Another version of
    ninja would compile DeepSpeed's extension again, which takes a minute.
    """
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{path}"}


def children_cpu_seconds() -> float:
    """Processor time of the processes that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _command_line(words: Sequence[str]) -> list[str]:
    """The words with the full paths of the executable and of the program."""
    python = Path(sys.executable)
    executable = python if words[0] == "python" else python.with_name(words[0])
    program = next((word for word in words if word.endswith(".py")), None)
    return [str(executable), *(str(ROOT / w) if w == program else w for w in words[1:])]


def end_with_parent() -> None:
    """Let this process end when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
