"""Finds the lock that makes DeepSpeed wait for ever.

DeepSpeed compiles its kernels at the first start, through torch, which keeps a file named `lock` in
the kernel's folder meanwhile. A process that is killed leaves it there, and all later runs wait
until somebody removes it.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from slmsql.errors import InputError

DEFAULT_FOLDER = "~/.cache/torch_extensions"


def check_extension_locks() -> None:
    """Check, in a run under DeepSpeed on one machine, that no lock of a dead process is left.

    Several machines may share the folder, and the holder of a lock may be a process of another one.

    Raises:
        InputError: a lock that no process of this machine has open.
    """
    machine = os.environ.get("LOCAL_WORLD_SIZE", "1")
    is_alone = os.environ.get("WORLD_SIZE", "1") == machine
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") != "true" or not is_alone:
        return
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR", DEFAULT_FOLDER)).expanduser()
    for lock in sorted([*folder.glob("*/lock"), *folder.glob("*/*/lock")]):
        if _is_abandoned(lock):
            raise InputError(
                f"{lock} is left from a process that was killed while it compiled, and DeepSpeed "
                "would wait for it for ever; remove that file"
            )


def _is_abandoned(lock: Path) -> bool:
    """Whether a lock exists and nobody has it open, twice: it is closed before it is removed."""
    for pause in (1.0, 0.0):
        if not lock.exists() or str(lock.resolve()) in _open_files():
            return False
        time.sleep(pause)
    return True


def _open_files() -> set[str]:
    """The files that processes of this machine have open, as far as we may see them."""
    return set(_links())


def _links() -> Iterator[str]:
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            yield os.readlink(descriptor)
        except OSError:  # it was closed meanwhile, or belongs to somebody else
            continue
