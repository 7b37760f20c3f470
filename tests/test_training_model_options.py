"""Weights too coarse to train are refused at once, and so is attention that is not installed."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from trl import ModelConfig

from sft.models import _quantization
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import InputError
from slmsql.files import write_jsonl
from slmsql.training import attention
from slmsql.training.model_options import check_precision
from tests.tiny_model import tiny_model

ROOT = Path(__file__).parent.parent


def arguments(**changes):
    given = {"deepspeed_plugin": None, "optim_args": None, "bf16": True, "fp16": False}
    return SimpleNamespace(**{**given, **changes})


def test_16_bit_weights_are_trained_only_where_small_updates_survive(tmp_path):
    half = ModelConfig(dtype="bfloat16")
    with pytest.raises(InputError, match="take `dtype: float32` with `bf16: true`"):
        check_precision(arguments(), half)
    with pytest.raises(InputError, match="whole float16 weights"):
        check_precision(arguments(fp16=True, bf16=False), ModelConfig(dtype="float16"))
    with pytest.raises(InputError, match="whole bfloat16 weights"):
        check_precision(arguments(model_init_kwargs={"dtype": "bfloat16"}), ModelConfig())
    check_precision(arguments(), ModelConfig(dtype="float32"))
    check_precision(arguments(), ModelConfig())
    check_precision(arguments(deepspeed_plugin=object()), half)
    check_precision(arguments(optim_args="bf16_stochastic_round=True"), half)
    check_precision(arguments(), ModelConfig(dtype="bfloat16", use_peft=True))


def test_the_dtype_auto_is_that_of_the_weights(tmp_path):
    model = tiny_model(tmp_path / "model")
    auto = ModelConfig(model_name_or_path=str(model), dtype="auto")
    check_precision(arguments(), auto)
    config = model / "config.json"
    config.write_text(config.read_text().replace('"float32"', '"bfloat16"'))
    with pytest.raises(InputError, match="whole bfloat16 weights"):
        check_precision(arguments(), auto)


def test_arithmetic_on_4_bit_weights_can_have_its_own_dtype():
    model = ModelConfig(load_in_4bit=True, dtype="float16", bnb_4bit_quant_type="nf4")
    assert _quantization(model, "").bnb_4bit_compute_dtype is torch.float16
    assert _quantization(model, "float32").bnb_4bit_compute_dtype is torch.float32
    assert _quantization(ModelConfig(), "float32") is None


@pytest.mark.parametrize(
    ("program", "data", "words", "message"),
    [
        ("sft.train", "--data", ["--attn_implementation=flash_attention_2"], "flash_attn"),
        ("sft.train", "--data", ["--dtype=bfloat16", "--bf16=true"], "whole bfloat16 weights"),
        ("rl.grpo", "--train_file", ["--attn_implementation=flash_attention_2"], "flash_attn"),
        ("rl.grpo", "--train_file", ["--dtype=bfloat16", "--bf16=true"], "whole bfloat16 weights"),
    ],
)
def test_a_program_refuses_before_it_loads_the_model(
    tmp_path, monkeypatch, program, data, words, message
):
    question = [{"role": "user", "content": "?"}]
    answer = [{"role": "assistant", "content": "SELECT 1"}]
    write_jsonl(tmp_path / "rows.jsonl", [{"prompt": question, "completion": answer}])
    model = tiny_model(tmp_path / "model")
    given = [f"{data}={tmp_path}/rows.jsonl", f"--model_name_or_path={model}", *words]
    given += [f"--output_dir={tmp_path}/out", "--use_cpu=true", "--report_to=none"]
    monkeypatch.setattr(attention, "find_spec", lambda package: None)
    monkeypatch.setattr(sys, "argv", [program, *given])
    with pytest.raises(InputError, match=message):
        importlib.import_module(program).main()
    assert not (tmp_path / "out").exists()


def move(folder, *words):
    """Train a tiny model for 20 steps; the absolute change of each weight."""
    from transformers import AutoModelForCausalLM, Trainer

    from rl.options import Options

    config = ROOT / "configs" / "rl" / "one_gpu.yaml"
    small = ["--use_cpu=true", "--max_steps=20", "--gradient_accumulation_steps=1"]
    quiet = ["--eval_strategy=no", "--save_strategy=no", "--load_best_model_at_end=false"]
    quiet += ["--report_to=none", f"--output_dir={folder / 'out'}", "--logging_steps=20"]
    _, (training, model) = parse_with_trainer(
        Options,
        ["trl:GRPOConfig", "trl:ModelConfig"],
        about=None,
        argv=["--config", str(config), *small, *quiet, *words],
    )
    dtype = getattr(torch, model.dtype)
    trained = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=dtype)
    before = [weights.detach().clone() for weights in trained.parameters()]
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(10, 400, (32,), generator=generator) for _ in range(160)]
    data = [{"input_ids": row, "labels": row} for row in rows]
    Trainer(model=trained, args=training, train_dataset=data).train()
    after = [weights.detach() for weights in trained.parameters()]
    pairs = zip(after, before, strict=True)
    return torch.cat([(new.float() - old.float()).abs().flatten() for new, old in pairs])


@pytest.mark.slow
def test_one_gpu_moves_the_weights_as_float32_does(tmp_path, one_thread):
    tiny_model(tmp_path / "model")
    as_shipped = move(tmp_path)
    exact = move(tmp_path, "--bf16=false", "--dtype=float32")
    coarse = move(tmp_path, "--dtype=bfloat16")
    assert (as_shipped > 0).float().mean().item() > 0.9
    assert as_shipped.mean().item() == pytest.approx(exact.mean().item(), rel=0.05)
    assert (coarse > 0).float().mean().item() < 0.1  # what the check refuses
