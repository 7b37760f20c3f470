"""Who may import whom: a module below never names one above."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "slmsql": set(),
    "rewards": {"slmsql"},
    "sft": {"slmsql"},
    "rl": {"slmsql", "rewards"},
    "inference": {"slmsql"},
    "scripts": {"slmsql", "rewards", "rl", "inference"},  # rescore.py and benchmarks
}
HEAVY = {"torch", "transformers", "trl", "datasets", "vllm", "deepspeed", "peft", "accelerate"}


def imported(nodes):
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


def trees(folder):
    return {file: ast.parse(file.read_text()) for file in (ROOT / folder).rglob("*.py")}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_down(folder):
    may = MAY_IMPORT[folder] | {folder}
    for file, tree in trees(folder).items():
        assert imported(ast.walk(tree)) & set(MAY_IMPORT) <= may, file


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_no_module_imports_the_gpu_stack_when_it_is_loaded(folder):
    for file, tree in trees(folder).items():
        assert not imported(tree.body) & HEAVY, file


def test_rl_never_imports_vllm_and_inference_never_imports_trl():
    for folder, foreign in (("rl", "vllm"), ("inference", "trl")):
        for file, tree in trees(folder).items():
            assert foreign not in imported(ast.walk(tree)), file


def test_only_the_execution_room_opens_databases():
    for folder in MAY_IMPORT:
        for file, tree in trees(folder).items():
            if "execution" not in file.relative_to(ROOT).parts[1]:
                calls = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
                assert not [c for c in calls if ast.unparse(c) == "sqlite3.connect"], file


@pytest.mark.parametrize("folder", ["sft", "rl", "inference", "scripts"])
def test_no_program_has_a_neighbour_that_hides_an_import(folder):
    """`python rl/grpo.py` puts rl/ first on the path: rl/rewards.py would hide rewards/."""
    names = {file.stem for file in (ROOT / folder).glob("*.py")}
    assert not names & (set(sys.stdlib_module_names) | HEAVY | set(MAY_IMPORT))


def test_the_library_and_the_rewards_load_without_the_gpu_stack():
    code = f"import sys, slmsql, rewards; sys.exit(', '.join({HEAVY!r} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
