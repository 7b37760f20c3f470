"""Fixtures: the real benchmark data, where this machine has it, and a small database."""

import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.warm_python import WarmPython
from slmsql.execution import create_database
from tests.warm_programs import warm_python

ROOT = Path(__file__).parent.parent
ARCHIVE = ROOT.parent / "shared" / "data" / "benchmarks.tar.xz"
LONGEST_FILES = (  # with the most trainings and starts of vLLM
    *("test_chain", "test_grpo_runs", "test_speedrun", "test_sft_runs"),
    *("test_training_weight_sync", "test_csc", "test_bench_gpu", "test_sampling"),
    *("test_rollout_constraint", "test_engines_postgres", "test_execution_hostile"),
    *("test_constraints",),
)
# Trackio reads it once, when it is imported.
os.environ.setdefault("TRACKIO_DIR", tempfile.mkdtemp(prefix="trackio-"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that both workers of `make test` end at about one time."""
    places = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real Spider, BIRD and SynSQL data with predictions; the folder's README describes it."""
    unpacked = ROOT / "data" / "benchmarks"
    if unpacked.is_dir():
        return unpacked
    if not ARCHIVE.is_file():
        pytest.skip("needs data/benchmarks (real Spider, BIRD and SynSQL data)")
    folder = tmp_path_factory.mktemp("data")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "benchmarks"


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPython]:
    """A Python that has imported the large libraries; `Program` forks from it."""
    with warm_python(tmp_path_factory.mktemp("warm") / "log") as python:
        yield python


@pytest.fixture
def singers(tmp_path: Path) -> Path:
    """A database of two tables with a foreign key between them, in Spider's layout."""
    path = tmp_path / "singers" / "singers.sqlite"
    create_database(
        path,
        """
        CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);
        CREATE TABLE song (
            id INTEGER PRIMARY KEY, title TEXT, singer_id INTEGER REFERENCES singer (id)
        );
        INSERT INTO singer VALUES (1, 'Ann', 30), (2, 'Bob', 25), (3, 'Cid', 30);
        INSERT INTO song VALUES (1, 'Hello', 1), (2, 'Bye', 1), (3, 'Rain', 2);
        """,
    )
    return path


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Train a tiny model on one thread; several would spend their time waiting for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
