"""Each file of configs/inference fills the options of the program that it names."""

import re
from pathlib import Path

import pytest

from inference import csc
from scripts import benchmark
from slmsql.cli.config import parse
from slmsql.commands import ask

FOLDER = Path(__file__).parent.parent / "configs" / "inference"
PROGRAMS = {
    "csc": (csc.Options, ["--model", "m", "--output", "out"]),
    "ask": (ask.Options, ["--model", "m", "--database", "d"]),
}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_config_fills_the_options_of_its_program(file):
    program = re.search(r"inference/(csc|ask)\.py", file.read_text())[1]
    options, needed = PROGRAMS[program]
    filled = parse(options, about=None, argv=["--config", str(file), *needed])
    plan = filled.plan if program == "csc" else filled.service.plan
    assert plan.n > 1


def test_a_benchmark_as_published_passes_on_what_was_published():
    file = FOLDER.parent / "evaluation" / "bird_dev.yaml"
    words = ["--model", "m", "--root", "r", "--output", "o"]
    options = parse(benchmark.Options, about=None, argv=["--config", str(file), *words])
    chain = options.chain()
    published = parse(csc.Options, about=None, argv=["--config", str(FOLDER / "slm_sql_bird.yaml")])
    assert chain.revision == published.revision
    assert chain.plan == published.plan
    assert chain.prompt == published.prompt
    assert chain.sampler.max_model_len == published.sampler.max_model_len
    assert chain.second_stage().sampling == published.second_stage().sampling


def test_a_benchmark_passes_on_how_the_merge_model_is_served():
    words = ["--model", "m", "--merge_model", "n", "--benchmark", "bird", "--root", "r"]
    words += ["--split", "dev", "--output", "o", "--tensor_parallel", "2", "--max_model_len", "99"]
    served = [
        "--merge_adapter",
        "a",
        "--merge_endpoints",
        "http://b",
        "--merge_tensor_parallel",
        "4",
    ]
    options = parse(benchmark.Options, about=None, argv=[*words, *served])
    first, second = options.chain().generation().sampler, options.chain().second_stage().sampler
    assert (first.model, first.tensor_parallel, first.max_model_len) == ("m", 2, 99)
    assert (second.model, second.adapter, second.endpoints) == ("n", "a", ["http://b"])
    assert (second.tensor_parallel, second.max_model_len) == (4, 99)


def test_the_published_settings_are_those_of_the_paper():
    file = FOLDER / "slm_sql_bird.yaml"
    options = parse(csc.Options, about=None, argv=["--config", str(file)])
    assert (options.plan.n, options.merge.merge_n, options.plan.temperature) == (64, 8, 0.8)
    assert options.revision.revision_settings.first_vote_weight == 0
    assert options.generation().plan.n == 64
    assert options.second_stage().plan.n == 8
