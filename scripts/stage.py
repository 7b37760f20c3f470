"""A stage of a chain: one program's command, run once, with its progress and a mark when done."""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from slmsql.errors import InputError
from slmsql.files import read_json, write_json

ROOT = Path(__file__).parent.parent
EVERY = 15.0  # seconds between lines of progress where the output is no terminal


@dataclass(frozen=True, slots=True)
class Stage:
    """A command of a program of this repository.

    `words` begin with the program's path; `outputs` are what it leaves, all under the folder of
    the chain. `reads` are files whose content decides the result beside the words: configs.
    """

    name: str
    about: str
    words: tuple[str, ...]
    outputs: tuple[Path, ...]
    reads: tuple[Path, ...] = ()

    def command(self) -> list[str]:
        """The command line as run and as shown."""
        return list(self.words)


@dataclass(frozen=True, slots=True)
class Done:
    """The mark of a finished stage."""

    key: str
    command: str
    seconds: float
    cpu_seconds: float


def run_chain(stages: Sequence[Stage], folder: Path) -> list[Done]:
    """Run stages in order; those whose mark is there with the same key are reused.

    The key of a stage covers its command, its configs and the key of the stage before, so that a
    change runs everything behind it again.

    Raises:
        InputError: a program failed; its last lines were shown, the whole is in its log.
    """
    key, marks = "", []
    for number, stage in enumerate(stages, start=1):
        key = _key(stage, key)
        mark = folder / "done" / f"{stage.name}.json"
        print(f"\n[{number}/{len(stages)}] {stage.about}\n  {shlex.join(stage.command())}")
        done = _finished(stage, mark, key)
        if done is None:
            done = _run(stage, key, folder)
            write_json(mark, asdict(done))
            print(f"  done in {done.seconds:.0f} s")
        else:
            print(f"  reused; it took {done.seconds:.0f} s")
        marks.append(done)
    return marks


def _key(stage: Stage, before: str) -> str:
    content = hashlib.sha256(json.dumps([before, stage.command()]).encode())
    for file in stage.reads:
        content.update((ROOT / file).read_bytes())
    return content.hexdigest()[:16]


def _finished(stage: Stage, mark: Path, key: str) -> Done | None:
    if not mark.is_file() or not all((ROOT / path).exists() for path in stage.outputs):
        return None
    done = Done(**read_json(mark))
    return done if done.key == key else None


def _run(stage: Stage, key: str, folder: Path) -> Done:
    (folder / "done" / f"{stage.name}.json").unlink(missing_ok=True)
    for path in stage.outputs:  # half of an earlier run, or one with other settings
        _remove(ROOT / path)
    log = folder / "logs" / f"{stage.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    start, processor = time.monotonic(), _children_seconds()
    with open(log, "w", encoding="utf-8") as file:
        status = _follow(stage.command(), file)
    if status:
        _show_end(log)
        raise InputError(f"stage {stage.name} ended with status {status}; its output is in {log}")
    seconds = time.monotonic() - start
    used = _children_seconds() - processor
    return Done(key, shlex.join(stage.command()), round(seconds, 1), round(used, 1))


def _follow(command: list[str], log: IO[str]) -> int:
    """Run a command; its output goes to the log, the latest line of it to the terminal."""
    words = [_program(command[0]), *command[1:]]
    # Unbuffered, or progress would arrive in blocks.
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        shown = time.monotonic()
        for line in _lines(process.stdout):
            log.write(line + "\n")
            pause = 0.5 if sys.stdout.isatty() else EVERY
            if line.strip() and time.monotonic() - shown > pause:
                shown = time.monotonic()
                _show(line)
        if sys.stdout.isatty():
            print("\r\033[K", end="")
    return process.returncode


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Lines as they come; a progress bar's carriage return ends one too."""
    rest = ""
    while block := os.read(stream.fileno(), 4096):
        rest += block.decode("utf-8", "replace")
        *lines, rest = rest.replace("\r", "\n").split("\n")
        yield from lines
    if rest:
        yield rest


def _show(line: str) -> None:
    width = shutil.get_terminal_size().columns - 5
    text = " ".join(line.split())[:width]
    print(f"\r\033[K  {text}" if sys.stdout.isatty() else f"  {text}", end="", flush=True)
    if not sys.stdout.isatty():
        print()


def _show_end(log: Path) -> None:
    for line in log.read_text(encoding="utf-8").splitlines()[-20:]:
        print(f"  {line}", file=sys.stderr)


def _program(name: str) -> str:
    """`python` and `accelerate` are those of this environment, activated or not."""
    if name == "python":
        return sys.executable
    return str(Path(sys.executable).with_name(name))


def _remove(path: Path) -> None:
    """Remove an output with what a program keeps beside it: FILE.run.json, FILE.partial ..."""
    beside = path.parent.glob(f"{path.name}.*") if path.suffix else ()
    for found in [path, *beside]:
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink(missing_ok=True)


def _children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system
