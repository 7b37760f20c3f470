"""The wheel in an environment of its own, with nothing but what the core needs."""

import json
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from slmsql.commands import COMMANDS
from slmsql.files import write_text
from tests.stand_in import Server, choice

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).with_name("uv")
FASTEST = 5  # runs of which the fastest counts, on a busy machine


@dataclass(frozen=True)
class Bare:
    """The environment, and a folder to work in."""

    bin: Path
    folder: Path

    def run(self, program, *words):
        """Run a program of the environment, which cannot see the checkout."""
        command = [self.bin / program, *map(str, words)]
        only = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}
        return subprocess.run(
            command, cwd=self.folder, env=only, capture_output=True, text=True, timeout=60
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*build, "--directory", folder], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def bare(wheel):
    environment = wheel.parent / "environment"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    python = environment / "bin" / "python"
    install = [UV, "pip", "install", "--quiet", "--python", python, "-c", "constraints.txt"]
    subprocess.run([*install, wheel], cwd=ROOT, check=True)
    made = Bare(environment / "bin", wheel.parent)
    assert_good(made.run("slmsql", "sample"), "chinook.sqlite: written")
    write_text(made.folder / "tables" / "cities.csv", "name,country\nOslo,Norway\n")
    return made


@pytest.mark.slow
def test_it_carries_the_library_alone_with_all_its_files(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.check_output(["git", "ls-files", "slmsql"], cwd=ROOT, text=True)
    assert packed >= {name for name in tracked.splitlines() if (ROOT / name).is_file()}
    tops = {name.split("/")[0] for name in packed}
    assert tops == {"slmsql", f"{wheel.name.split('-py3')[0]}.dist-info"}


@pytest.mark.slow
def test_a_question_is_answered_through_a_server_without_torch(bare):
    server = Server(always=count_artists, models=["small"])
    asked = ("--database", "chinook.sqlite", "--endpoint", server.url, "--question", "artists?")
    done = bare.run("slmsql", "ask", *asked, "--json")
    server.shutdown()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == [[18]]
    assert bare.run("python", "-c", "import torch").returncode


def count_artists(body):
    return {"choices": [choice("SELECT count(*) FROM Artist")] * body["n"]}


@pytest.mark.slow
def test_predictions_are_scored_voted_compared_and_reported(bare, benchmarks):
    source = ("--benchmark", "spider", "--root", benchmarks / "spider", "--split", "dev")
    source += ("--limit", "30")
    folder = benchmarks / "predictions"
    files = [folder / f"spider_dev__codes-{size}.jsonl" for size in ("1b", "7b")]
    for file in files:
        words = (*source, "--predictions", file, "--output", file.stem)
        assert_good(bare.run("slmsql", "evaluate", *words), "EX (bird)")
    runs = ("--runs", *(file.stem for file in files))
    vote = (*source, "--candidates", *files, "--output", "v.jsonl")
    assert_good(bare.run("slmsql", "vote", *vote), "v.jsonl: 30 questions decided")
    assert_good(bare.run("slmsql", "compare", *runs), "gained")
    assert_good(bare.run("slmsql", "report", *runs, "--output", "r.html"), "r.html: written")


def assert_good(done, said):
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("serve", ["--databases", "chinook.sqlite"], "pip install 'slmsql[serve]'"),
        ("mcp", ["--databases", "chinook.sqlite"], "pip install 'slmsql[mcp]'"),
        ("ask", ["--database", "tables"], "tables needs DuckDB; pip install 'slmsql[duckdb]'"),
        ("ask", ["--database", "chinook.sqlite", "--model", "m"], "m needs vLLM or transformers"),
        ("nonsense", [], "no command 'nonsense'; the commands are ask, sample, serve"),
    ],
)
def test_what_is_missing_is_said_in_one_line(bare, command, words, said):
    done = bare.run("slmsql", command, *words)
    assert said in done.stderr
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.slow
def test_help_and_import_take_less_than_three_tenths_of_a_second(bare):
    assert min(seconds(bare, "slmsql", "--help") for _ in range(FASTEST)) < 0.3
    assert min(seconds(bare, "python", "-c", "import slmsql") for _ in range(FASTEST)) < 0.3
    shown = bare.run("slmsql", "--help").stdout
    assert all(f"  {name} " in shown for name in COMMANDS)


def seconds(bare, *words):
    start = time.perf_counter()
    assert bare.run(*words).returncode == 0
    return time.perf_counter() - start
