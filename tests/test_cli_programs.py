"""Programs of this repository, run by another one."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

from slmsql.cli.programs import ROOT, run, start


def test_a_command_is_shown_and_its_status_returned(capfd):
    assert run(["python", "-c", "print('ran'); exit(3)"]) == 3
    shown, ran = capfd.readouterr().out.strip().split("\n", 1)
    assert shown == """$ python -c 'print('"'"'ran'"'"'); exit(3)'"""
    assert ran == "ran"


def test_a_program_is_found_from_any_folder(tmp_path):
    with start(["python", "inference/vote.py", "--help"], cwd=tmp_path, stdout=-1) as process:
        assert b"--candidates" in process.stdout.read()
    assert process.returncode == 0


def test_a_program_finds_ninja_where_the_environment_is_not_activated(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    which = "import shutil; print(shutil.which('ninja'))"
    with start(["python", "-c", which], stdout=-1) as process:
        found = process.stdout.read().decode().strip()
    assert Path(found) == Path(sys.executable).with_name("ninja")


def test_a_process_ends_with_its_parent():
    sleeping = ["python", "-c", "import time; time.sleep(600)"]
    code = f"from slmsql.cli.programs import start; print(start({sleeping}).pid); input()"
    with subprocess.Popen(
        [sys.executable, "-uc", code], cwd=ROOT, stdin=-1, stdout=-1, text=True
    ) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    until = time.monotonic() + 20
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)
