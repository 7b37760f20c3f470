"""The benchmark of a GPU machine: in miniature on a CPU, and its table."""

from importlib.util import find_spec

import pytest
from transformers import AutoTokenizer

from rl.step_clock import PARTS
from scripts.bench.gpu import PARTS as PROGRAM_PARTS
from scripts.bench.gpu import TIME_LIMITS, table
from scripts.bench.random_models import SHAPES, save_models
from slmsql.files import read_json
from tests.warm_programs import Program


@pytest.mark.slow
def test_it_measures_all_parts_in_miniature(benchmarks, warm, tmp_path):
    if find_spec("vllm") is None:
        pytest.skip("needs vllm")
    words = f"--benchmark spider --root {benchmarks / 'spider'} --split dev --device cpu"
    command = ["python", "scripts/bench/gpu.py", *words.split()]
    command += ["--output", str(tmp_path), "--json", str(tmp_path / "figures.json")]
    status, text = Program(warm, command, tmp_path / "log").finish()
    assert status == 0, text[-3000:]
    figures = {f"{one['part']} {one['case']}": one for one in read_json(tmp_path / "figures.json")}
    for case in ("ours packed varlen", "ours packed sdpa", "ours padded varlen", "trl packed sdpa"):
        assert figures[f"sft tiny {case}"]["tokens_per_second"] > 0
    step = figures["grpo tiny, 4 completions"]
    assert set(step) >= set(PARTS)
    assert min(step["rollout"], step["reward"], step["update"]) > 0
    sampling = figures["generate tiny, 4 questions, n 2"]
    assert sampling["ratio"] == pytest.approx(
        sampling["generate_tokens_per_second"] / sampling["vllm_tokens_per_second"]
    )
    for name in figures:
        assert name.split(maxsplit=1)[1] in text


def test_a_model_has_the_shape_and_the_tokens_of_the_one_it_stands_for(tmp_path):
    texts = ["SELECT name FROM singer WHERE age > 30"] * 3
    folder = save_models(["tiny"], texts, tmp_path)["tiny"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = read_json(folder / "config.json")
    assert config["hidden_size"] == SHAPES["tiny"]["hidden_size"]
    assert len(tokenizer) == config["vocab_size"]
    assert tokenizer.decode(tokenizer.encode(texts[0])) == texts[0]
    assert "unused" in tokenizer.decode([len(tokenizer) - 100])  # random weights sample it, too


def test_a_case_that_does_not_fit_is_a_line_of_the_table():
    figures = [
        {
            "part": "sft",
            "case": "1.5B ours",
            "tokens_per_second": 30_300.4,
            "peak_gb": 41.23,
        },
        {"part": "sft", "case": "1.5B trl", "fault": "out of memory"},
    ]
    first, second = table(figures).splitlines()
    assert first.split()[:4] == ["sft", "1.5B", "ours", "tokens_per_second"]
    assert "30,300  peak_gb 41.2" in first
    assert second.endswith("fault out of memory")


def test_the_parts_end_within_eight_minutes():
    assert set(TIME_LIMITS) == set(PROGRAM_PARTS)
    assert sum(TIME_LIMITS.values()) <= 460
