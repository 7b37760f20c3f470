"""The plan agrees with what a run then takes."""

import sys
from pathlib import Path

import pytest

from slmsql.files import write_jsonl
from tests.tiny_model import tiny_model

CONFIG = Path(__file__).parent.parent / "configs/sft/slm_sql_qwen2.5_coder_0.5b.yaml"
SIZES = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The options of a small run, on rows that are equally long."""
    folder = tmp_path_factory.mktemp("plan")
    rows = [
        {
            "prompt": [{"role": "user", "content": f"How many singers over {i}?"}],
            "completion": [{"role": "assistant", "content": f"SELECT count(*) WHERE age > {i}"}],
        }
        for i in range(10, 58)
    ]
    write_jsonl(folder / "rows.jsonl", rows)
    model = tiny_model(folder / "model", **SIZES)
    values = f"--data {folder}/rows.jsonl --model_name_or_path {model} --output_dir {folder}/out"
    fixed = "--bf16 false --use_cpu true --save_strategy no --report_to none --max_steps 1"
    return [*values.split(), *fixed.split(), "--per_device_train_batch_size", "12"]


def parsed(words):
    from sft.options import Options
    from slmsql.cli.config import parse_with_trainer

    trainer = ["trl:SFTConfig", "trl:ModelConfig"]
    options, (training, model) = parse_with_trainer(Options, trainer, about="", argv=words)
    return options, training, model


def peak_bytes(options, training, model):
    """What tensors really held at the worst moment of a step, by torch's own tracker."""
    from torch.distributed._tools.mem_tracker import MemTracker

    from sft.train import make_trainer
    from slmsql.training.checkpoints import train_from

    trainer = make_trainer(options, training, model)
    tracker = MemTracker()
    tracker.track_external(trainer.model)
    with tracker:
        train_from(None, trainer)
    (snapshot,) = (
        parts
        for device, parts in tracker.get_tracker_snapshot("peak").items()
        if str(device) == "cpu"
    )
    return trainer, snapshot["Total"]


@pytest.mark.parametrize(
    "lora", [[], ["--use_peft", "true", "--lora_target_modules", "all-linear"]]
)
def test_parameters_are_counted_as_the_model_has_them(words, lora):
    from sft.models import check_model
    from sft.plan import count_parameters
    from sft.train import make_trainer

    options, training, model = parsed([*words, *lora, "--gradient_checkpointing", "false"])
    counted = count_parameters(check_model(model), model)
    trainer = make_trainer(options, training, model)
    every = list(trainer.model.parameters())
    assert counted.total == sum(p.numel() for p in every)
    assert counted.trained == sum(p.numel() for p in every if p.requires_grad)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", ["false", "true"])
def test_memory_and_tokens_are_within_15_percent_of_a_real_run(words, checkpointing):
    from sft.plan_report import plan_of

    run = parsed([*words, "--optim", "sgd", "--gradient_checkpointing", checkpointing])
    plan = plan_of(*run)
    trainer, peak = peak_bytes(*run)
    batch = next(iter(trainer.get_train_dataloader()))
    planned = plan.memory.total - plan.memory.optimizer
    print(f"planned {planned / 1e6:.1f} MB, measured {peak / 1e6:.1f} MB")
    assert planned == pytest.approx(peak, rel=0.15)
    assert plan.largest_batch == pytest.approx(batch["input_ids"].numel(), rel=0.15)
    assert plan.tokens == sum(len(row) for row in trainer.train_dataset["input_ids"])


def test_optimiser_states_follow_the_optimiser_and_zero_shares_them(words):
    from sft.plan_report import plan_of

    def memory(*more):
        return plan_of(*parsed([*words, *more])).memory

    plain = memory("--optim", "adamw_torch")
    assert plain.optimizer == 8 * plain.weights / 4
    assert memory("--optim", "adamw_8bit").optimizer == 2 * plain.weights / 4
    shared = memory("--optim", "adamw_torch", "--plan_gpus", "4", "--plan_zero", "3")
    assert shared.optimizer == plain.optimizer / 4
    assert shared.weights == plain.weights / 4


@pytest.mark.parametrize(("more", "steps"), [([], 1), (["--max_steps", "-1"], 3 * 4)])
def test_steps_are_those_of_the_trainer(words, more, steps):
    from sft.plan_report import plan_of

    assert plan_of(*parsed([*words, *more])).steps == steps


def test_packs_are_counted_as_the_trainer_makes_them(words):
    from sft.plan import packed_sizes

    _, training, _ = parsed([*words, "--packing", "true", "--max_length", "100"])
    sizes = packed_sizes([60, 50, 40, 30, 100], training)
    assert sorted(sizes) == [80, 100, 100]


def test_a_plan_for_a_gpu_needs_none(words, capsys, monkeypatch):
    from sft.train import main

    plan = ["--plan", "--plan_zero=2", "--plan_gpus=8", "--attn_implementation=flash_attention_2"]
    argv = ["sft/train.py", "--config", str(CONFIG), *words[:6], "--eval_rows=4", *plan]
    monkeypatch.setattr(sys, "argv", argv)  # `bf16: true` as in the config
    main()
    assert "memory in all" in capsys.readouterr().out
