"""Programs forked from a Python with everything imported run as if it had been started for them."""

import os
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import pytest

from scripts.warm_python import ROOT, WarmPython

HEAVY = ["python", "sft/train.py"]
PROGRAM = """
import os, sys
print(__name__, sys.argv[1:], sys.path[0], os.getcwd())
print(repr(sys.stdin.read()), sys.stdout.isatty())
print("torch" in sys.modules)
"""
ENDINGS = {
    "sys.exit(3)": 3,
    "sys.exit()": 0,
    "sys.exit('wrong')": 1,
    "1 / 0": 1,
    "os.kill(os.getpid(), 9)": -9,
}
WORKERS = """
import multiprocessing

def double(number):
    return 2 * number

if __name__ == "__main__":
    for method in ("spawn", "fork"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(pool.map(double, [1, 2]))
"""


RANK = """
import os, sys
print(os.environ["RANK"], os.environ["WORLD_SIZE"], sys.argv[1:], "torch" in sys.modules)
"""
FAILING_RANK = """
import os, sys, time
if os.environ["RANK"] == "1":
    sys.exit("wrong")
time.sleep(600)
"""
ALONE = """
import os, torch
print(os.environ["ACCELERATE_MIXED_PRECISION"], os.environ.get("RANK"), torch.get_num_threads())
"""

# Ready sooner than with everything, and with a temporary folder, as wandb has one.
SERVER = """
import atexit, tempfile
from scripts import warm_python
warm_python.MODULES = ("torch",)
warm_python.folder = tempfile.TemporaryDirectory()
atexit.register(warm_python.folder.cleanup)
warm_python.main()
"""
FOLDER = """
from scripts import warm_python
print(warm_python.folder.name)
"""
CHAIN = """
import os, sys
from pathlib import Path
from scripts import warm_python
warm_python.SERVER = sys.argv[1]
command = ["python", "sft/train.py"]
with warm_python.WarmPython(Path(sys.argv[2])) as python:
    python.warm_up([command])
    assert python.can_run(command)
    python.start(["python", sys.argv[3]], os.dup(1)).wait()
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    log = tmp_path_factory.mktemp("warm") / "log"
    with patch("scripts.warm_python.SERVER", SERVER), WarmPython(log) as python:
        python.warm_up([HEAVY])
        assert python.can_run(HEAVY)
        yield python


@pytest.fixture
def run(python, tmp_path):
    """Runs the text of a program; returns its output and its status."""

    def run(text, *words, start=("python",)):
        (tmp_path / "program.py").write_text(text)
        reading, writing = os.pipe()
        process = python.start([*start, str(tmp_path / "program.py"), *words], writing)
        os.close(writing)
        with open(reading, encoding="utf-8") as output:
            printed = output.read()
        return printed, process.wait()[0]

    return run


@pytest.mark.slow
def test_a_program_finds_its_words_its_folder_and_what_was_imported(run, tmp_path):
    printed, status = run(PROGRAM, "--name", "a b")
    lines = [f"__main__ ['--name', 'a b'] {tmp_path} {ROOT}", "'' False", "True"]
    assert printed.splitlines() == lines
    assert status == 0


@pytest.mark.slow
def test_temporary_folders_of_the_imports_stay_for_the_next_program(run):
    (folder, _), (again, _) = run(FOLDER), run(FOLDER)
    assert folder == again
    assert Path(folder.strip()).is_dir()


@pytest.mark.slow
def test_they_are_deleted_at_the_end(tmp_path):
    with patch("scripts.warm_python.SERVER", SERVER), WarmPython(tmp_path / "log") as python:
        python.warm_up([HEAVY])
        assert python.can_run(HEAVY)
        (tmp_path / "program.py").write_text(FOLDER)
        with open(tmp_path / "output", "wb") as output:
            python.start(["python", str(tmp_path / "program.py")], output.fileno()).wait()
    assert not Path((tmp_path / "output").read_text().strip()).exists()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_ends_as_usual(run, tmp_path, ending):
    text = f"import os, sys\nprint('begun')\n{ending}\n"
    printed, status = run(text)
    assert status == ENDINGS[ending]
    usual = subprocess.run(
        [sys.executable, "-u", tmp_path / "program.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert status == usual.returncode
    assert printed.splitlines()[:1] == usual.stdout.splitlines()[:1] == ["begun"]
    assert printed.splitlines()[-1:] == usual.stdout.splitlines()[-1:]


@pytest.mark.slow
def test_programs_do_not_see_each_other(run):
    assert run("import torch; torch.marked = 1; print(torch.is_grad_enabled())")[0] == "True\n"
    assert run("import torch; print(hasattr(torch, 'marked'))")[0] == "False\n"


@pytest.mark.slow
def test_a_program_sees_the_variables_of_its_start(run, monkeypatch):
    text = "import os; print(os.environ.get('ADDED'), os.environ.get('HOME'))"
    before = run(text)[0]
    monkeypatch.setenv("ADDED", "a")
    monkeypatch.delenv("HOME")
    assert (before, run(text)[0]) == (f"None {Path.home()}\n", "a None\n")


@pytest.mark.slow
def test_programs_run_at_one_time(python, tmp_path):
    """The first waits for the second."""
    pipe, waits, writes = (tmp_path / name for name in ("pipe", "waits.py", "writes.py"))
    os.mkfifo(pipe)
    waits.write_text(f"import sys; sys.exit(int(open({str(pipe)!r}).read()))")
    writes.write_text(f"open({str(pipe)!r}, 'w').write('5')")
    first, second = (python.start(["python", str(file)], 2) for file in (waits, writes))
    assert (second.wait()[0], first.wait()[0]) == (0, 5)


def launch(config):
    file = f"configs/accelerate/{config}.yaml"
    return ("accelerate", "launch", "--num_cpu_threads_per_process", "1", "--config_file", file)


@pytest.mark.slow
def test_each_process_of_a_launch_finds_its_rank_and_what_was_imported(run):
    printed, status = run(RANK, "a b", start=launch("cpu_two"))
    assert sorted(printed.splitlines()) == [f"{rank} 2 ['a b'] True" for rank in range(2)]
    assert status == 0


@pytest.mark.slow
def test_a_launch_ends_with_its_first_process_that_fails(run):
    start = time.monotonic()
    printed, status = run(FAILING_RANK, start=launch("cpu_two"))
    assert (printed, status) == ("wrong\n", 1)
    assert time.monotonic() - start < 120


@pytest.mark.slow
def test_a_launch_of_one_process_sets_what_accelerate_sets(run, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert run(ALONE, start=launch("one")) == ("no None 1\n", 0)


@pytest.mark.slow
def test_a_program_may_have_workers_of_its_own(run):
    assert run(WORKERS) == ("[2, 4]\n[2, 4]\n", 0)


@pytest.mark.slow
def test_errors_of_our_programs_are_the_same(python):
    words = ["python", "sft/train.py", "--data", "nowhere.jsonl"]
    reading, writing = os.pipe()
    process = python.start(words, writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as output:
        printed = output.read()
    usual = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert (printed, process.wait()[0]) == (usual.stderr, usual.returncode)


@pytest.mark.slow
def test_a_program_ends_when_the_chain_is_killed(tmp_path):
    program, chain = tmp_path / "program.py", tmp_path / "chain.py"
    program.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    chain.write_text(CHAIN)
    words = [sys.executable, chain, SERVER, tmp_path / "log", program]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        running = Path("/proc") / process.stdout.readline().strip()
        assert running.exists()
        process.kill()
    deadline = time.monotonic() + 20
    while running.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running.exists()


def test_nothing_is_imported_for_commands_that_do_not_need_it(tmp_path):
    light = [["python", "inference/vote.py"], ["accelerate", "config"]]
    with WarmPython(tmp_path / "log") as python:
        python.warm_up(light)
        assert not any(map(python.can_run, light))
    assert not (tmp_path / "log").exists()


def test_a_server_that_cannot_start_leaves_programs_to_be_started_as_usual(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("scripts.warm_python.SERVER", "import no_such_module")
    with WarmPython(tmp_path / "log") as python:
        python.warm_up([HEAVY])
        assert not python.can_run(HEAVY)
    assert str(tmp_path / "log") in capsys.readouterr().out
    assert "no_such_module" in (tmp_path / "log").read_text()
