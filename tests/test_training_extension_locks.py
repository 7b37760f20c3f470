"""A killed process leaves a lock for which DeepSpeed would wait for ever."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from slmsql.errors import InputError
from slmsql.training.extension_locks import check_extension_locks

# torch's own lock while it compiles, without the seconds that torch takes to import.
HOLDER = """
import runpy, sys, time
assert runpy.run_path(sys.argv[1])["FileBaton"](sys.argv[2]).try_acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    (tmp_path / "py311_cpu" / "deepspeed_shm_comm").mkdir(parents=True)
    return tmp_path / "py311_cpu" / "deepspeed_shm_comm" / "lock"


def test_a_lock_is_refused_once_its_process_has_been_killed(lock):
    (torch,) = find_spec("torch").submodule_search_locations
    command = [sys.executable, "-c", HOLDER, f"{torch}/utils/file_baton.py", str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        check_extension_locks()  # somebody compiles: the run waits for it
        holder.kill()
    with pytest.raises(InputError, match="lock is left from a process that was killed") as refused:
        check_extension_locks()
    assert "\n" not in str(refused.value)
    lock.unlink()
    check_extension_locks()


def test_without_deepspeed_or_on_several_machines_no_lock_is_looked_for(lock, monkeypatch):
    lock.touch()
    monkeypatch.setenv("WORLD_SIZE", "16")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    check_extension_locks()
    monkeypatch.delenv("ACCELERATE_USE_DEEPSPEED")
    monkeypatch.setenv("WORLD_SIZE", "8")
    check_extension_locks()
