"""The six short trainings for a GPU: their options parse, and two run in miniature on a CPU."""

import sys
from dataclasses import replace

import pytest

from rl.options import Options as GRPOOptions
from scripts.bench.gpu_smoke import RUNS, Options, fault_of, main, settings_of, write_rows
from sft.options import Options as SFTOptions
from slmsql.cli.config import as_arguments, parse_with_trainer
from slmsql.errors import InputError
from slmsql.files import read_jsonl
from tests.tiny_model import tiny_model

GRPO = (GRPOOptions, ["trl:GRPOConfig", "trl:ModelConfig"])
SFT = (SFTOptions, ["trl:SFTConfig", "trl:ModelConfig"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("smoke")
    write_rows(path)
    return path


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_options_for_a_gpu_parse(run, folder):
    options, trainer = SFT if run.program == "sft/train.py" else GRPO
    settings = settings_of(run, Options(model="model"), folder) | {"bf16": False, "use_cpu": True}
    _, (training, model) = parse_with_trainer(
        options, trainer, about=None, argv=as_arguments(settings)
    )
    assert training.max_steps == 2
    assert model.attn_implementation == "auto"
    assert model.use_peft == ("lora" in run.name or run.name == "sft_packing")


def test_the_rows_to_validate_on_are_not_trained_on(folder):
    ids = [{row["id"] for row in read_jsonl(folder / f"{n}.jsonl")} for n in ("train", "held_out")]
    assert [len(part) for part in ids] == [36, 4]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"loss": 0.1, "ratio": 1.01}, ""),
        ({"loss": float("nan"), "ratio": 1.0}, "not a number"),
        ({}, "no loss"),
        ({"loss": 0.1, "ratio": 0.3}, "vLLM does not sample from the weights"),
        ({"loss": 0.1}, "vLLM does not sample from the weights"),
    ],
)
def test_a_run_fails_if_vllm_has_other_weights(figures, message):
    lora = next(run for run in RUNS if run.name == "lora")
    fault = fault_of(lora, Options(model="model"), figures)
    assert message in fault
    assert bool(fault) == bool(message)
    assert not fault_of(replace(lora, gpu={}), Options(model="model"), {"loss": 0.1})


def verdicts(capsys):
    """The lines of the runs; libraries print others at their import."""
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.startswith(("ok", "skip", "FAIL"))]


@pytest.mark.slow
def test_two_of_them_run_in_miniature(tmp_path, monkeypatch, capsys):
    model = tiny_model(tmp_path / "model", hidden_size=64, intermediate_size=128)
    words = f"x --model {model} --device cpu --output {tmp_path / 'out'}"
    only = "--only colocate lora sft_packing"
    monkeypatch.setattr(sys, "argv", [*words.split(), *only.split()])
    main()
    skipped, lora, sft = verdicts(capsys)
    assert skipped == "skip colocate: it needs a GPU"
    assert lora.startswith("ok   lora")
    assert "ex_greedy" in lora
    assert sft.startswith("ok   sft_packing")


@pytest.mark.slow
def test_a_run_that_ends_is_named_with_its_last_line(tmp_path, monkeypatch, capsys):
    words = f"x --model {tmp_path}/none --device cpu --output {tmp_path / 'out'} --only plain"
    monkeypatch.setattr(sys, "argv", words.split())
    with pytest.raises(InputError, match="failed: plain; the logs are in"):
        main()
    (line,) = verdicts(capsys)
    assert line.startswith("FAIL plain")
    assert "is not a model folder" in line
