"""Who may import whom: arrows point one way, and nothing goes round in a circle."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "slmsql": set(),
    "rewards": {"slmsql"},
    "sft": {"slmsql"},
    "rl": {"slmsql", "rewards"},
    "inference": {"slmsql"},
    "scripts": {"slmsql", "rewards", "sft", "rl", "inference"},  # benchmarks of each
}
# A room of the library may import those before it, never one behind it.
ROOMS = [
    *("errors", "files", "sql", "match", "execution", "questions", "schema", "values", "prompt"),
    *("grammar", "cli", "consistency", "rows", "suites", "evaluation"),
    *("training", "sampling", "page", "server", "commands"),
]
HEAVY = {"torch", "transformers", "trl", "datasets", "vllm", "deepspeed", "peft", "accelerate"}
# The trainer's class has a base class of TRL's, the processors' of vLLM's, and others compute with
# tensors. They are imported only inside functions, or by each other.
LATE = {
    *("rl.trainer", "rl.base_trainer", "rl.batches", "rl.constraint", "rl.correction"),
    *("slmsql.sampling.vllm_constraint", "slmsql.sampling.vllm_seeds"),
}
PROGRAMS = ["sft", "rl", "inference", "scripts", "scripts/bench", "scripts/demo", "scripts/harness"]


def imported(nodes):
    """Full names of the modules that some nodes import."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(names):
    return {name.split(".")[0] for name in names}


@cache
def trees(folder):
    return {file: ast.parse(file.read_text()) for file in (ROOT / folder).rglob("*.py")}


@cache
def imported_anywhere(folder):
    """Full names of the modules that each file imports, inside functions and for types, too."""
    return {file: imported(ast.walk(tree)) for file, tree in trees(folder).items()}


def module_name(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def all_modules():
    return {
        module_name(file): names
        for folder in MAY_IMPORT
        for file, names in imported_anywhere(folder).items()
    }


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folders_import_only_what_stands_below_them(folder):
    may = MAY_IMPORT[folder] | {folder}
    for file, names in imported_anywhere(folder).items():
        assert packages(names) & set(MAY_IMPORT) <= may, file


def test_the_library_has_the_rooms_that_are_listed_and_at_most_twenty():
    found = {path.stem for path in (ROOT / "slmsql").iterdir() if path.stem[0] not in "_."}
    assert found - {"py"} == set(ROOMS)  # py.typed
    assert len(ROOMS) <= 20


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_it(room):
    before = set(ROOMS[: ROOMS.index(room) + 1])
    place = ROOT / "slmsql" / room
    for file in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
        names = imported_anywhere("slmsql")[file]
        rooms = {name.split(".")[1] for name in names if name.startswith("slmsql.")}
        assert rooms <= before, file


def test_no_modules_import_each_other_in_a_circle_not_even_for_types():
    modules = all_modules()

    def module_of(name):
        return name if name in modules else name.rpartition(".")[0]

    graph = {
        module: {module_of(name) for name in names if module_of(name) in modules} - {module}
        for module, names in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_search_for_circles_finds_one():
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
    assert imported(ast.walk(ast.parse("if TYPE_CHECKING:\n    from a import b"))) == {"a.b"}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_no_module_imports_the_gpu_stack_when_it_is_loaded(folder):
    for file, tree in trees(folder).items():
        if module_name(file) in LATE:
            continue
        names = imported(tree.body)
        assert not packages(names) & HEAVY, file
        parts = {name.rpartition(".")[0] for name in names}
        assert not parts & LATE, file


def test_rl_never_imports_vllm_and_inference_never_imports_trl():
    for folder, foreign in (("rl", "vllm"), ("inference", "trl"), ("slmsql/sampling", "trl")):
        for file, names in imported_anywhere(folder).items():
            assert foreign not in packages(names), file


def test_only_the_execution_room_opens_databases():
    for folder in MAY_IMPORT:
        for file, tree in trees(folder).items():
            if (ROOT / "slmsql" / "execution") not in file.parents:
                names = [node for node in ast.walk(tree) if getattr(node, "attr", "") == "connect"]
                assert "sqlite3.connect" not in map(ast.unparse, names), file


@pytest.mark.parametrize("folder", PROGRAMS)
def test_no_program_has_a_neighbour_that_hides_an_import(folder):
    """`python rl/grpo.py` puts rl/ first on the path: rl/rewards.py would hide rewards/."""
    names = {file.stem for file in (ROOT / folder).glob("*.py")}
    assert not names & (set(sys.stdlib_module_names) | HEAVY | set(MAY_IMPORT))


def test_the_library_and_the_rewards_load_without_the_gpu_stack():
    code = f"import sys, slmsql, rewards; sys.exit(', '.join({HEAVY!r} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
