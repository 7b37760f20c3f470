"""Each recipe is parsed by the program itself and runs some steps on a tiny model of its kind."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from slmsql.files import write_jsonl
from tests.tiny_model import tiny_model

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "configs" / "sft").glob("*.yaml"))
KIND_OF = {"Qwen/Qwen3": "qwen3", "Qwen/": "qwen2", "meta-llama/": "llama"} | {
    "deepseek-ai/": "deepseek",
    "LiquidAI/": "lfm2",
    "mistralai/": "mistral",
}
BLOCKS = {
    "hidden_size": 64,
    "intermediate_size": 128,
}  # NF4 takes 64 weights at a time
SMALL = {  # what a CPU cannot do, and the size
    "use_cpu": "true",
    "bf16": "false",
    "fp16": "false",
    "dtype": "float32",
    "max_length": "400",
    "max_steps": "3",
    "logging_steps": "1",
    "eval_rows": "4",
    "eval_steps": "2",
    "save_steps": "2",
    "gradient_accumulation_steps": "1",
    "per_device_train_batch_size": "2",
    "report_to": "none",
}


def model_of(recipe):
    """The published model a recipe starts from, through the recipe that it continues."""
    name = yaml.safe_load(recipe.read_text())["model_name_or_path"]
    before = recipe.with_name(f"{Path(name).name}.yaml")
    return model_of(before) if before.is_file() else name


def kind_of(recipe):
    name = model_of(recipe)
    return next(kind for start, kind in KIND_OF.items() if name.startswith(start))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    write_jsonl(path, (row(i) for i in range(24)))
    return path


def row(i):
    return {
        "id": str(i),
        "prompt": [
            {"role": "system", "content": "CREATE TABLE singer (age INTEGER)"},
            {"role": "user", "content": f"How many singers are over {i}?"},
        ],
        "completion": [
            {"role": "assistant", "content": f"SELECT count(*) FROM singer WHERE age > {i}"}
        ],
    }


def run(monkeypatch, recipe, **options):
    """The program in this process: `python sft/train.py --config RECIPE --name value ...`."""
    from sft.train import main

    words = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["sft/train.py", "--config", str(recipe), *words])
    main()


def test_every_system_has_its_recipe():
    names = {model_of(recipe) for recipe in RECIPES}
    assert names == {
        "Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct",
        "Qwen/Qwen3-0.6B",
        "meta-llama/Llama-3.2-1B-Instruct",
        "deepseek-ai/deepseek-coder-1.3b-instruct",
        "Qwen/Qwen2.5-Coder-3B-Instruct",
        "LiquidAI/LFM2.5-350M",
        "mistralai/Mistral-Nemo-Instruct-2407",
        "meta-llama/Llama-3.2-3B-Instruct",
    }


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_is_parsed_with_its_values(recipe, rows):
    from sft.options import Options
    from slmsql.cli.config import parse_with_trainer

    words = ["--config", str(recipe), "--data", str(rows), "--use_cpu", "--bf16", "false"]
    words += ["--fp16", "false"]
    options, filled = parse_with_trainer(
        Options, ["trl:SFTConfig", "trl:ModelConfig"], about="", argv=words
    )
    parsed = {name: value for part in (options, *filled) for name, value in vars(part).items()}
    for name, value in yaml.safe_load(recipe.read_text()).items():
        if name not in {"data", "eval_rows", "bf16", "fp16", "report_to"}:
            assert parsed[name] == value, name


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", [r for r in RECIPES if r.stem != "nemo_phase2"], ids=lambda recipe: recipe.stem
)
def test_a_recipe_runs_on_a_tiny_model_of_its_kind(recipe, rows, tmp_path, monkeypatch):
    model = tiny_model(tmp_path / "model", kind_of(recipe), **BLOCKS)
    output = tmp_path / "out"
    options = {**SMALL, "data": rows, "model_name_or_path": model, "output_dir": output}
    run(monkeypatch, recipe, **options)
    state = json.loads((output / "checkpoint-3" / "trainer_state.json").read_text())
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert len(losses) == 3
    assert all(4 < loss < 9 for loss in losses)  # about the logarithm of the vocabulary: 6


@pytest.mark.slow
def test_nemos_second_phase_trains_the_adapter_of_the_first(rows, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    one, two = (ROOT / "configs" / "sft" / f"nemo_phase{n}.yaml" for n in (1, 2))
    model = tiny_model(tmp_path / "model", kind_of(one), **BLOCKS)
    run(
        monkeypatch,
        one,
        **{**SMALL, "data": rows, "model_name_or_path": model, "output_dir": tmp_path / "one"},
    )
    first = load_file(tmp_path / "one" / "adapter_model.safetensors")
    run(
        monkeypatch,
        two,
        **{
            **SMALL,
            "data": rows,
            "model_name_or_path": tmp_path / "one",
            "output_dir": tmp_path / "two",
        },
    )
    second = load_file(tmp_path / "two" / "adapter_model.safetensors")
    assert first.keys() == second.keys()
    changes = [(second[name] - first[name]).abs().max().item() for name in first]
    assert 0 < max(changes) < 1e-3  # small steps from where phase one ended
    shutil.rmtree(tmp_path / "one")
