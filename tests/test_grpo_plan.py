"""The plan of a GRPO run agrees with what the run then takes."""

import sys
from pathlib import Path

import pytest
from trl import GRPOConfig

from rl import plan as planning
from rl.grpo import check_run, main
from rl.options import Options
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import InputError
from slmsql.execution import create_database
from slmsql.files import write_jsonl
from slmsql.prompt.build import PromptSettings, build_prompt, read_template
from slmsql.questions.question import Question
from slmsql.rows.formats import grpo_row
from slmsql.training.model_check import load_configuration
from slmsql.training.plan_options import GPUS, PlanOptions
from tests.planned import SIZES, peak_bytes, smollm2_configuration
from tests.tiny_model import tiny_model

CONFIGS = Path(__file__).parent.parent / "configs" / "rl"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The options of a small run, on rows that are equally long."""
    folder = tmp_path_factory.mktemp("plan")
    shop = folder / "shop" / "shop.sqlite"
    create_database(shop, "CREATE TABLE item (id INTEGER, name TEXT);")
    questions = [
        Question(f"q{n}", f"Item {n}?", "shop", shop, gold_sql="SELECT name FROM item")
        for n in range(10, 18)
    ]
    layout = read_template("think").layout
    prompts = [build_prompt(question, PromptSettings()).messages for question in questions]
    rows = [grpo_row(*pair, layout) for pair in zip(questions, prompts, strict=True)]
    write_jsonl(folder / "rows.jsonl", rows)
    model = tiny_model(folder / "model", **SIZES)
    values = f"--train_file {folder}/rows.jsonl --model_name_or_path {model}"
    return [*values.split(), f"--output_dir={folder}/out"]


def parsed(words):
    options, (training, model) = parse_with_trainer(
        Options, ["trl:GRPOConfig", "trl:ModelConfig"], about=None, argv=words
    )
    return options, training, model


SMALL = [
    *("--use_cpu", "true", "--bf16", "false", "--max_steps", "1", "--report_to", "none"),
    *("--num_generations", "4", "--per_device_train_batch_size", "8", "--workers", "1"),
    *("--max_completion_length", "32", "--gradient_checkpointing", "false", "--optim", "sgd"),
    *("--save_strategy", "no", "--beta", "0", "--resume", "false"),
]


def plan_of(words, *, prompts=(200,), devices=1, zero=0):
    _, training, model = parsed([*words, *SMALL])
    return planning.make_plan(
        prompts,
        config=load_configuration(model),
        training=training,
        model=model,
        devices=devices,
        zero=zero,
    )


def smollm2(**changes):
    """The plan of the speedrun's GRPO on an H200 (docs/speedrun.md)."""
    values = {
        "per_device_train_batch_size": 32,
        "gradient_accumulation_steps": 8,
        "num_generations": 8,
        "max_completion_length": 128,
        "gradient_checkpointing": False,
        "beta": 0,
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": 0.25,
        "dtype": "float32",
        **changes,
    }
    words = f"--train_file {__file__} --output_dir out --use_cpu true --bf16 true".split()
    _, training, model = parsed([*words, *(f"--{name}={value}" for name, value in values.items())])
    training.use_cpu = False
    return planning.make_plan(
        [250] * 4800,
        config=smollm2_configuration(),
        training=training,
        model=model,
        devices=1,
        zero=0,
    )


def test_a_step_takes_about_as_long_as_it_was_measured():
    """256 completions on an H200: rollout 1.19 s, updates 1.23 s (2026-11-28)."""
    plan = smollm2()
    assert plan.completions == 256
    assert plan.rollout_seconds(GPUS["H200"]) == pytest.approx(1.19, rel=0.3)
    assert plan.update_seconds(GPUS["H200"]) == pytest.approx(1.23, rel=0.3)
    assert plan.steps == 3 * 4800 // 32


def test_vllm_takes_its_share_unless_it_sleeps_while_weights_are_updated():
    size = 80e9
    beside, asleep = smollm2(), smollm2(vllm_enable_sleep_mode=True)
    assert beside.takes(size) == beside.memory.total + 0.25 * size
    assert asleep.takes(size) == max(asleep.memory.total, asleep.memory.kept + 0.25 * size)
    elsewhere = smollm2(vllm_mode="server")
    assert elsewhere.takes(size) == elsewhere.memory.total


def test_a_reference_model_has_weights_and_a_pass_of_its_own():
    without, with_it = smollm2(), smollm2(beta=0.04)
    assert with_it.memory.weights == 2 * without.memory.weights
    assert with_it.update.weights == pytest.approx(4 / 3 * without.update.weights)


def test_several_updates_of_a_generation_need_the_first_log_probabilities():
    plan = smollm2(steps_per_generation=16)
    assert (plan.completions, plan.updates) == (512, 2)
    assert plan.update.weights == pytest.approx(2 * 4 / 3 * smollm2().update.weights)


def test_the_micro_batch_of_the_advice_fits():
    plan = smollm2()
    size = plan.takes(16e9)
    rows = plan.rows_that_fit(0.67 * 16e9)
    assert 0 < rows < 32
    assert size > 0.92 * 16e9
    smaller = smollm2(per_device_train_batch_size=rows - rows % 8, gradient_accumulation_steps=16)
    assert smaller.takes(16e9) <= 0.92 * 16e9


def test_a_run_that_does_not_fit_is_refused_with_a_batch_that_does():
    plan = smollm2()
    _, training, _ = parsed(["--train_file", __file__, "--output_dir", "out", "--bf16", "false"])
    planning.check_fits(plan, training, 141e9)
    with pytest.raises(InputError, match=r"4\.00 GB of it for vLLM.*size 16 --grad.*steps 16 for"):
        planning.check_fits(plan, training, 16e9)
    with pytest.raises(InputError, match="not even one fits, or --ignore_plan true"):
        planning.check_fits(plan, training, 1e9)


@pytest.mark.parametrize(
    ("path", "devices"),
    [("one_gpu", 1), ("lora", 1), ("current", 8), ("slm_sql_qwen2.5_coder_0.5b", 3)],
)
def test_a_plan_needs_no_gpu_and_no_more_processes(path, devices, words, capsys, monkeypatch):
    config = [f"--config={CONFIGS / path}.yaml", "--plan", f"--plan_gpus={devices}"]
    validation = [] if "slm_sql" in path else ["--validation_file", words[1]]
    argv = ["rl/grpo.py", *config, *words, *validation]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(GRPOConfig, "world_size", 1)  # taken back after the test
    main()
    lines = capsys.readouterr().out
    assert "memory: vLLM" in lines
    assert f"h on {devices} x H100 at most" in lines


def test_what_cannot_be_planned_is_one_line():
    for wrong in ({"plan_gpu": "H900"}, {"plan_gpus": 0}, {"plan_zero": 4}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PlanOptions(**wrong)


@pytest.mark.slow
def test_memory_is_within_15_percent_of_a_real_run(words):
    from transformers import AutoTokenizer

    from rl.grpo import _make_trainer
    from rl.tokenizer import prompt_lengths

    options, training, model = parsed([*words, *SMALL])
    run = check_run(options, training, model)
    tokenizer = AutoTokenizer.from_pretrained(str(model.model_name_or_path))
    plan = plan_of(words, prompts=prompt_lengths(run.rows, tokenizer))
    trainer = _make_trainer(run, tokenizer)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    inputs = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    # Only the update: the tracker cannot follow the many calls of a generation.
    peak = peak_bytes(trainer.model, lambda: trainer.compute_loss(trainer.model, inputs).backward())
    run.judge.close()
    planned = plan.memory.total - plan.memory.optimizer
    print(f"planned {planned / 1e6:.1f} MB, measured {peak / 1e6:.1f} MB")
    assert planned == pytest.approx(peak, rel=0.15)
