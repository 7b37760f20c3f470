"""The plan agrees with what a run then takes."""

import sys
from pathlib import Path

import pytest

from slmsql.errors import InputError
from slmsql.files import write_jsonl
from tests.planned import SIZES, peak_bytes, smollm2_configuration
from tests.tiny_model import tiny_model

CONFIG = Path(__file__).parent.parent / "configs/sft/slm_sql_qwen2.5_coder_0.5b.yaml"


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


def trained_with_peak(options, training, model):
    """The trainer after its run, and the most bytes that its tensors held."""
    from sft.train import make_trainer
    from slmsql.training.checkpoints import train_from

    trainer = make_trainer(options, training, model)
    return trainer, peak_bytes(trainer.model, lambda: train_from(None, trainer))


@pytest.mark.parametrize(
    "lora", [[], ["--use_peft", "true", "--lora_target_modules", "all-linear"]]
)
def test_parameters_are_counted_as_the_model_has_them(words, lora):
    from sft.train import make_trainer
    from slmsql.training.memory import count_parameters
    from slmsql.training.model_check import load_configuration

    options, training, model = parsed([*words, *lora, "--gradient_checkpointing", "false"])
    counted = count_parameters(load_configuration(model), model)
    trainer = make_trainer(options, training, model)
    every = list(trainer.model.parameters())
    assert counted.total == sum(p.numel() for p in every)
    assert counted.trained == sum(p.numel() for p in every if p.requires_grad)


PACKED = ["--packing", "true", "--max_length", "1300", "--per_device_train_batch_size", "1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ["--gradient_checkpointing", "false"],
        ["--gradient_checkpointing", "true"],
        ["--gradient_checkpointing", "false", "--attn_implementation", "sdpa", *PACKED],
    ],
    ids=["plain", "checkpointing", "masks of sdpa"],
)
def test_memory_and_tokens_are_within_15_percent_of_a_real_run(words, more):
    from sft.plan_report import plan_of
    from slmsql.training.attention import choose_attention

    options, training, model = parsed([*words, "--optim", "sgd", *more])
    choose_attention(training, model)
    plan = plan_of(options, training, model)
    trainer, peak = trained_with_peak(options, training, model)
    batch = next(iter(trainer.get_train_dataloader()))
    planned = plan.memory.total - plan.memory.optimizer
    print(f"planned {planned / 1e6:.1f} MB, measured {peak / 1e6:.1f} MB")
    assert planned == pytest.approx(peak, rel=0.15)
    assert plan.largest_batch == pytest.approx(batch["input_ids"].numel(), rel=0.15)


def smollm2(attention, packs, *, accumulated=2, row=2048):
    """The plan of an SFT like those that were measured on GPUs (docs/sft.md): 2,484 full packs."""
    from sft.plan import make_plan

    values = f"--data {__file__} --output_dir out --use_cpu true --bf16 true --max_length 2048"
    values += " --packing true --num_train_epochs 2 --gradient_checkpointing false"
    values += f" --per_device_train_batch_size {packs} --gradient_accumulation_steps {accumulated}"
    words = f"{values} --attn_implementation {attention} --dtype float32".split()
    _, training, model = parsed(words)
    training.use_cpu = False
    return make_plan(
        [row] * (2484 * (2048 // row)),
        round(0.047 * 2048 * 2484),
        config=smollm2_configuration(),
        training=training,
        model=model,
        devices=1,
        zero=0,
    )


@pytest.mark.parametrize(
    ("attention", "packs", "accumulated", "row", "step_seconds"),
    [
        ("sdpa", 6, 2, 1024, 0.79),  # H100, 2026-11-27
        ("sdpa", 8, 1, 1024, 0.818),  # H200, 2026-11-28, as are the next two
        ("varlen", 8, 1, 1024, 0.166),
        ("varlen", 16, 1, 292, 0.223),
    ],
)
def test_time_is_within_30_percent_of_what_was_measured(
    attention, packs, accumulated, row, step_seconds
):
    plan = smollm2(attention, packs, accumulated=accumulated, row=row)
    seconds = plan.work.seconds(plan.parameters.total, attention, 989e12) / plan.steps
    assert seconds == pytest.approx(step_seconds, rel=0.3)


def test_memory_is_within_15_percent_of_what_was_measured():
    for attention, gigabytes in (("varlen", 17.0), ("sdpa", 33.4)):  # H200, 2026-11-28
        planned = smollm2(attention, packs=8, accumulated=1, row=1024).memory.total
        assert planned / 1e9 == pytest.approx(gigabytes, rel=0.15)


def test_the_batch_that_ran_out_of_80_gb_does_not_fit_and_the_one_that_ran_does():
    assert smollm2("sdpa", packs=16).memory.total > 80e9
    assert smollm2("sdpa", packs=6).memory.total < 80e9
    assert 6 <= smollm2("sdpa", packs=16).rows_that_fit(0.92 * 80e9) < 16


def test_without_masks_the_larger_batch_fits():
    memory = smollm2("varlen", packs=16).memory
    assert memory.masks == 0
    assert memory.total < 40e9


def test_a_run_that_does_not_fit_is_refused_with_a_batch_that_does(words, monkeypatch):
    from sft import plan_report
    from sft.examples import prepare_both
    from sft.models import load_encoder
    from slmsql.training import plan_options

    options, training, model = parsed([*words, "--gradient_checkpointing", "false"])
    examples, _ = prepare_both(options, load_encoder(model, training), training)
    plan_report.check_fits(examples, training, model)  # on a CPU
    training.use_cpu = False
    needed = plan_report.plan_of(options, training, model).memory.total / plan_options.USABLE
    monkeypatch.setattr(plan_options, "memory_of_gpu", lambda: needed + 1)
    plan_report.check_fits(examples, training, model)
    monkeypatch.setattr(plan_options, "memory_of_gpu", lambda: 0.7 * needed)
    with pytest.raises(InputError, match=r"12 takes about .* give --per_device_train_\w+ \d"):
        plan_report.check_fits(examples, training, model)
    monkeypatch.setattr(plan_options, "memory_of_gpu", lambda: 1e6)
    with pytest.raises(InputError, match="not even one row fits, or --ignore_plan true"):
        plan_report.check_fits(examples, training, model)


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
