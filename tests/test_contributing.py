"""The changes that CONTRIBUTING.md shows can be applied, and do what it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DIFFS = re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
REWARD = """
from rewards import Judge, make_rewards
from slmsql.match import Match
(reward,) = make_rewards(["brevity"], match=Match.BIRD, judge=Judge())
texts = ["<answer>SELECT 1</answer>", "", f"<answer>SELECT {'1' * 300}</answer>"]
assert reward(completions=texts) == [1.0, 0.0, 0.0]
"""
METRIC = """
from slmsql.evaluation.scores import query_scores
assert query_scores("SELECT 1", "SELECT 10", None)["no_longer_than_gold"] is True
assert query_scores("SELECT 100", "SELECT 1", None)["no_longer_than_gold"] is False
"""
BENCHMARK = """
from pathlib import Path
from slmsql.questions.reading import benchmark_paths
root = Path("lab")
(root / "databases").mkdir(parents=True)
(root / "questions.json").write_text("[]")
assert benchmark_paths("my_lab", root, "dev") == (root / "questions.json", root / "databases")
"""
SAMPLER = """
from slmsql.sampling.constant_sampler import ConstantSampler
from slmsql.sampling.sampler import Request, Sampler, SamplingParams
sampler: Sampler = ConstantSampler()
sampler.submit(Request("q", [{"role": "user", "content": "?"}], 2, 0, SamplingParams()))
(completed,) = sampler.completed()
assert [sample.text for sample in completed.samples] == ["SELECT 1"] * 2
assert sampler.completed() == []
sampler.close()
"""


@pytest.mark.parametrize(
    ("diff", "use"), list(zip(DIFFS, [REWARD, METRIC, BENCHMARK, SAMPLER], strict=True))
)
def test_a_change_applies_and_works(diff, use, tmp_path):
    for folder in ("slmsql", "rewards", "inference"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    command = ["git", "apply", "--unidiff-zero", "-"]
    subprocess.run(command, input=diff, text=True, check=True, cwd=tmp_path)
    subprocess.run([sys.executable, "-c", use], check=True, cwd=tmp_path)
