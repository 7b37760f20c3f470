"""Run the commands of a chain one after the other, each once.

    stages = [Stage("vote", "Vote", "python inference/vote.py ... --output out/votes.jsonl",
                    outputs=(Path("out/votes.jsonl"),))]
    run_chain(stages, Path("out"))

prints each command and its progress, keeps its output in out/logs/vote.log and writes
out/done/vote.json when it has succeeded. A second call runs only what has changed since. A stage
that was interrupted starts with what it has written, so that a training resumes from its last
checkpoint; if its command has changed, it starts anew.
"""

import hashlib
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import IO

from scripts.warm_python import WarmPython
from slmsql.cli.programs import ROOT, children_cpu_seconds, start
from slmsql.errors import InputError
from slmsql.files import read_json, write_json, write_text

PROGRESS_SECONDS = 15.0  # between lines of progress where the output is not a terminal
ERROR_LINES = 20  # of the log, shown when a stage fails


@dataclass(frozen=True, slots=True)
class Stage:
    """One command of a chain, run in the repository's root.

    Args:
        name: names the stage's log and mark; unique in the chain.
        about: what the stage does, for the person who watches.
        command: as typed in a shell; white space between words may hold line breaks.
        outputs: files and folders that the command writes, all inside the chain's folder.
        reads: files whose content decides the result: configs and templates.
    """

    name: str
    about: str
    command: str
    outputs: tuple[Path, ...]
    reads: tuple[Path, ...] = ()

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command)


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written when a stage has succeeded: its key, its command and its cost."""

    key: str
    command: str
    seconds: float
    cpu_seconds: float


def run_chain(stages: Sequence[Stage], folder: Path) -> list[Mark]:
    """Run stages in order, except those that succeeded before and have the same key.

    A stage's key covers its command, the files it reads and the key of the stage before, so a
    change reruns the changed stage and all that follow.

    Raises:
        InputError: a command failed; the end of its output has been shown, all of it is in its log.
    """
    key = ""
    marks = []
    with WarmPython(folder / "logs" / "warm_python.log") as python:
        for number, stage in enumerate(stages, start=1):
            key = _key(stage, key)
            file = folder / "done" / f"{stage.name}.json"
            print(f"\n[{number}/{len(stages)}] {stage.about}\n  {shlex.join(stage.words)}")
            mark = _earlier_mark(stage, file, key)
            if mark is None:
                python.warm_up(later.words for later in stages[number - 1 :])
                mark = _run(stage, key, folder, python)
                write_json(file, asdict(mark))
                print(f"  done in {mark.seconds:.0f} s")
            else:
                print(f"  reused; it took {mark.seconds:.0f} s")
            marks.append(mark)
    return marks


def _key(stage: Stage, key_before: str) -> str:
    content = hashlib.sha256(json.dumps([key_before, stage.words]).encode())
    for file in stage.reads:
        content.update((ROOT / file).read_bytes())
    return content.hexdigest()[:16]


def _earlier_mark(stage: Stage, file: Path, key: str) -> Mark | None:
    """The mark of an earlier run of the same stage whose outputs still exist."""
    if not file.is_file() or not all((ROOT / path).exists() for path in stage.outputs):
        return None
    mark = Mark(**read_json(file))
    return mark if mark.key == key else None


def _run(stage: Stage, key: str, folder: Path, python: WarmPython) -> Mark:
    (folder / "done" / f"{stage.name}.json").unlink(missing_ok=True)
    begun = folder / "begun" / stage.name
    if not begun.is_file() or begun.read_text(encoding="utf-8") != key:
        for path in stage.outputs:  # of a run with other settings
            _remove(ROOT / path)
        write_text(begun, key)
    log = folder / "logs" / f"{stage.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with open(log, "w", encoding="utf-8") as file:
        status, cpu_seconds = _follow(stage.words, file, python)
    if status:
        for line in log.read_text(encoding="utf-8").splitlines()[-ERROR_LINES:]:
            print(f"  {line}", file=sys.stderr)
        raise InputError(f"stage {stage.name} ended with status {status}; its output is in {log}")
    seconds = round(time.monotonic() - started, 1)
    return Mark(key, shlex.join(stage.words), seconds, round(cpu_seconds, 1))


def _follow(words: Sequence[str], log: IO[str], python: WarmPython) -> tuple[int, float]:
    """Run a command; returns its exit status and seconds of processor time."""
    if python.can_run(words):
        output, end = os.pipe()
        warm = python.start(words, end)
        os.close(end)
        with open(output, "rb") as stream:
            _copy(stream, log)
        return warm.wait()
    cpu_before = children_cpu_seconds()
    with start(words, cwd=ROOT, stdout=PIPE, stderr=STDOUT) as process:
        assert process.stdout is not None
        _copy(process.stdout, log)
    return process.returncode, children_cpu_seconds() - cpu_before


def _copy(output: IO[bytes], log: IO[str]) -> None:
    """All output goes to the log, now and then a line of it to the terminal."""
    pause = 0.5 if sys.stdout.isatty() else PROGRESS_SECONDS
    shown_at = time.monotonic()
    for line in _lines(output):
        log.write(line + "\n")
        if line.strip() and time.monotonic() - shown_at > pause:
            shown_at = time.monotonic()
            _show_progress(line)
    if sys.stdout.isatty():
        print("\r\033[K", end="")


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """The lines of a stream as they come; the carriage return of a progress bar ends a line too."""
    rest = ""
    while block := os.read(stream.fileno(), 4096):
        rest += block.decode("utf-8", "replace")
        *lines, rest = rest.replace("\r", "\n").split("\n")
        yield from lines
    if rest:
        yield rest


def _show_progress(line: str) -> None:
    """On a terminal each line replaces the one before."""
    width = shutil.get_terminal_size().columns - 5
    text = " ".join(line.split())[:width]
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end="", flush=True)
    else:
        print(f"  {text}", flush=True)


def _remove(path: Path) -> None:
    """Remove an output and what a program keeps beside it: FILE.run.json, FILE.partial ..."""
    beside = path.parent.glob(f"{path.name}.*") if path.suffix else ()
    for output in [path, *beside]:
        if output.is_dir():
            shutil.rmtree(output)
        else:
            output.unlink(missing_ok=True)
