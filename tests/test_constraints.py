"""The pinned versions fit together, on machines with and without a GPU. Reads metadata only."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).with_name("uv")
PINS = {
    line.strip()
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
}
# uv's words for an index that cannot be reached; any other failure is a fault of the pins.
OFFLINE = ("error sending request", "Failed to fetch", "Could not connect", "operation timed out")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not UV.is_file(), reason="needs uv beside the Python that runs the tests"),
]


def uv(*words):
    done = subprocess.run([UV, "pip", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode and any(words in done.stderr for words in OFFLINE):
        pytest.skip("needs a package index")
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("extras", [("train",), ("train", "vllm")], ids=" ".join)
def test_the_install_lines_for_a_gpu_resolve_to_the_pins(extras, tmp_path):
    output = tmp_path / "resolved.txt"
    uv(
        *("compile", "pyproject.toml", "--constraint", "constraints.txt"),
        *(word for extra in extras for word in ("--extra", extra)),
        *("--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.11"),
        *("--no-header", "--no-annotate", "--output-file", str(output)),
    )
    resolved = set(output.read_text().split())
    assert "torch==2.13.0" in resolved
    assert ("vllm==0.31.0" in resolved) == ("vllm" in extras)
    unpinned = {line for line in resolved - PINS if not line.startswith("setuptools==")}
    assert not unpinned


def test_what_is_installed_without_a_gpu_is_what_the_pins_say():
    done = uv(
        *("install", "--dry-run", "--python", sys.executable, "--editable", ".[train,cpu,serve]"),
        *("--group", "dev", "--constraint", "constraints.txt", "--override", "overrides.txt"),
    )
    assert "Resolved" in done.stderr


def test_a_pin_that_fits_nothing_is_noticed(tmp_path):
    wrong = tmp_path / "wrong.txt"
    wrong.write_text(
        (ROOT / "constraints.txt").read_text().replace("triton==3.7.1", "triton==3.9.0")
    )
    with pytest.raises(AssertionError, match="No solution found"):
        uv(
            *("compile", "pyproject.toml", "--constraint", str(wrong), "--extra", "train"),
            *("--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.11"),
        )
