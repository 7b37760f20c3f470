"""Rollouts come from the model in training, or the run stops: with a real vLLM in its process."""

import subprocess
import sys
import threading
from importlib.util import find_spec
from unittest.mock import patch

import pytest

from slmsql.errors import InputError
from slmsql.execution import create_database
from slmsql.files import read_jsonl, write_jsonl
from slmsql.prompt.build import Layout, PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.rows.formats import grpo_row
from slmsql.training.deadline import deadline
from slmsql.training.weight_sync import WeightSync
from tests.colocated_vllm import Engine, trainer_with
from tests.tiny_model import tiny_model
from tests.warm_programs import call

FIGURES = (
    "loss",
    "grad_norm",
    "reward",
    "sampling/sampling_logp_difference/mean",
    "sampling/sampling_logp_difference/max",
    "sampling/importance_sampling_ratio/min",
    "sampling/importance_sampling_ratio/mean",
    "sampling/importance_sampling_ratio/max",
)
LORA = {"use_peft": True, "lora_r": 4, "lora_target_modules": "all-linear", "learning_rate": 0.1}

SFT = {
    "validation_vllm": 0.3,
    "validation_tokens": 12,
    "validation_rows": 5,
    "eval_rows": 2,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
    "bf16": False,
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
}


def logs(trainer, name):
    return [log[name] for log in trainer.state.log_history if name in log]


def error_of(action):
    try:
        action()
    except InputError as error:
        return str(error)
    return ""


def healthy(engine, folder, **changes):
    import torch

    with trainer_with(engine, folder, **changes) as trainer:
        engine.llm.reset_prefix_cache()
        torch.manual_seed(0)  # vLLM samples with torch's generator here
        trainer.train()
        parts = ("rollout", "logprobs", "reward", "update", "sync", "validation", "idle")
        return {
            "differences": logs(trainer, "sync/logprob_difference"),
            "check_seconds": logs(trainer, "sync/check_seconds"),
            "seconds": {part: logs(trainer, f"time/{part}") for part in parts},
            "runtime": trainer.state.log_history[-1]["train_runtime"],
            "reward_share": logs(trainer, "time/reward_share"),
            "figures": {name: logs(trainer, name) for name in FIGURES},
        }


def with_a_pass_before_the_update(engine, folder, **changes):
    """As TRL does it: log-probabilities for vLLM's correction from a pass of their own."""
    from rl.base_trainer import CheckedGRPOTrainer

    with patch.object(CheckedGRPOTrainer, "_corrects_in_the_update", False):
        return healthy(engine, folder, **changes)


def an_engine_that_ignores_updates(engine, folder, **changes):
    """It takes the first weights, as vLLM does at its start, and then none."""
    with trainer_with(engine, folder, **changes) as trainer:
        engine.model.load_weights(trainer.model.named_parameters())
        with patch.object(engine.model, "load_weights", lambda weights: list(weights)):
            return error_of(trainer.train), trainer.state.global_step


def an_engine_with_other_weights(engine, folder, **changes):
    with trainer_with(engine, folder, **changes) as trainer:
        others = [(name, 2 * weight) for name, weight in trainer.model.named_parameters()]
        trainer.vllm_generation._iter_named_params = lambda: iter(others)
        return error_of(trainer.train), trainer.state.global_step


def an_engine_that_drops_the_adapter(engine, folder, **changes):
    with trainer_with(engine, folder, **LORA, **changes) as trainer:
        generation = trainer.vllm_generation
        base = [
            (name.removeprefix("base_model.model.").replace(".base_layer", ""), weight.data)
            for name, weight in trainer.model.named_parameters()
            if "lora_" not in name
        ]
        generation._iter_named_params = lambda: iter(base)
        return error_of(trainer.train), trainer.state.global_step


def an_engine_that_hangs(engine, folder, **changes):
    """`os._exit` is recorded and lets the engine go on, so that this process stays."""
    released, codes = threading.Event(), []

    def end(code):
        codes.append(code)
        released.set()

    with (
        trainer_with(engine, folder, sync_timeout=0.5, max_steps=1, **changes) as trainer,
        patch.object(engine.model, "load_weights", lambda weights: released.wait(60)),
        patch("os._exit", end),
    ):
        error_of(trainer.train)
    return codes


def sft_with_validation(engine, folder, model, rows):
    """Answers of vLLM and of transformers after each of two updates by SFT."""
    from sft import validate
    from sft.options import Options
    from sft.train import make_trainer
    from slmsql.cli.config import as_arguments, parse_with_trainer

    prompts = [{"id": r["id"], "prompt": r["prompt"]} for r in read_jsonl(rows)]
    data = folder / "sft.jsonl"
    answer = [{"role": "assistant", "content": "SELECT name FROM item"}]
    write_jsonl(data, [{**prompt, "completion": answer} for prompt in prompts])
    settings = {**SFT, "data": str(data), "validation_file": str(rows), "output_dir": str(folder)}
    options, (training, loading) = parse_with_trainer(
        Options,
        ["trl:SFTConfig", "trl:ModelConfig"],
        about=None,
        argv=as_arguments({**settings, "model_name_or_path": str(model)}),
    )
    answers, run = [], validate.VLLMAnswers.__call__

    def both(self, questions):
        found = run(self, questions)
        prompts = [question["prompt"] for question in questions]
        expected = validate.generate(trainer, prompts, options.validation_tokens)
        answers.append(([row.greedy for row in found], expected))
        return found

    with (
        patch("trl.generation.vllm_generation.LLM", engine),
        patch.object(validate.VLLMAnswers, "__call__", both),
    ):
        trainer = make_trainer(options, training, loading)
        trainer.train()
    return answers, [log for log in trainer.state.log_history if "eval_ex_greedy" in log]


def trainings(folder, model, rows, sql_rows):
    """All trainings, one after the other, with one engine."""
    engine = Engine()
    constrained = {"constrain": "schema", "train_file": str(sql_rows), "rewards": ["execution"]}
    changes = {"model_name_or_path": str(model), "train_file": str(rows)}
    return {
        "healthy": healthy(engine, folder, **changes),
        "own_pass": with_a_pass_before_the_update(engine, folder, **changes),
        "healthy_adapter": healthy(engine, folder, **LORA, **changes),
        "constrained": healthy(engine, folder, **{**changes, **constrained}),
        "others": an_engine_with_other_weights(engine, folder, **changes),
        "ignores": an_engine_that_ignores_updates(engine, folder, **changes),
        "drops": an_engine_that_drops_the_adapter(engine, folder, **changes),
        "hangs": an_engine_that_hangs(engine, folder, **changes),
        "sft": sft_with_validation(engine, folder, model, rows),
    }


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, warm):
    if find_spec("vllm") is None:
        pytest.skip("needs vllm")
    folder = tmp_path_factory.mktemp("sync")
    model = tiny_model(folder / "model", hidden_size=128)
    shop = folder / "shop" / "shop.sqlite"
    create_database(shop, "CREATE TABLE item (id INTEGER, name TEXT);")
    questions = [
        Question(f"q{n}", f"Item {n}?", "shop", shop, gold_sql="SELECT name FROM item")
        for n in range(8)
    ]
    files = []
    for template, layout in (("think", Layout.THINK), ("schema", Layout.SQL)):
        prompts = [build_prompt(q, PromptSettings(template=template)).messages for q in questions]
        files.append(folder / f"{template}.jsonl")
        rows = zip(questions, prompts, strict=True)
        write_jsonl(files[-1], [grpo_row(q, prompt, layout) for q, prompt in rows])
    return call(warm, folder, trainings, folder, model, *files)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["healthy", "healthy_adapter"])
def test_vllm_and_trainer_agree_after_every_update(outcomes, run):
    assert len(outcomes[run]["differences"]) == 2
    assert max(outcomes[run]["differences"]) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("run", ["healthy", "constrained"])
def test_the_importance_ratio_is_one_at_the_first_step(outcomes, run):
    for name in ("min", "mean", "max"):
        first = outcomes[run]["figures"][f"sampling/importance_sampling_ratio/{name}"][0]
        assert first == pytest.approx(1.0, abs=1e-3)


@pytest.mark.slow
def test_the_parts_of_a_step_add_up_to_its_time(outcomes):
    seconds = outcomes["healthy"]["seconds"]
    for part in ("rollout", "reward", "update", "sync"):
        assert len(seconds[part]) == 2
        assert min(seconds[part]) > 0
    assert seconds["logprobs"] == [0, 0]  # the update has them
    assert min(outcomes["own_pass"]["seconds"]["logprobs"]) > 0
    whole = sum(sum(values) for values in seconds.values())
    assert whole == pytest.approx(outcomes["healthy"]["runtime"], rel=0.1)
    for number, share in enumerate(outcomes["healthy"]["reward_share"]):
        step = sum(seconds[part][number] for part in seconds)
        assert share == pytest.approx(seconds["reward"][number] / step)


@pytest.mark.slow
@pytest.mark.parametrize("figure", FIGURES)
def test_the_correction_in_the_update_is_that_of_a_pass_before_it(outcomes, figure):
    found, expected = (outcomes[run]["figures"][figure] for run in ("healthy", "own_pass"))
    assert len(found) == 2
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ignores", "drops"])
def test_an_engine_whose_weights_stand_still_is_caught_after_the_first_update(outcomes, engine):
    """One ignores updates, one drops the adapter."""
    error, steps = outcomes[engine]
    assert "vLLM ignores the updates of the weights: " in error
    assert "\n" not in error
    assert steps == 1


@pytest.mark.slow
def test_an_engine_with_other_weights_is_caught_before_the_first_update(outcomes):
    error, steps = outcomes["others"]
    assert "vLLM does not sample from the model in training: " in error
    assert "more than 0.2 (in GRPO --sync_tolerance)" in error
    assert steps == 0


@pytest.mark.slow
def test_an_engine_that_hangs_ends_the_process(outcomes):
    assert outcomes["hangs"] == [2]


@pytest.mark.slow
def test_sft_validates_with_vllm_as_with_transformers(outcomes):
    answers, scores = outcomes["sft"]
    for found, expected in answers:
        assert found == expected
    assert [len(found) for found, _ in answers] == [5, 5]
    assert answers[0] != answers[1]  # the weights have moved between the two
    assert [score["eval_questions"] for score in scores] == [5, 5]


def verdicts(*values):
    """What is said of each pair of values: vLLM's and the trainer's, for one token."""
    sync = WeightSync(None, [1, 2], None, tolerance=0.2, timeout=1)

    def check(found, expected):
        sync._check([found], [expected], abs(found - expected))

    return [error_of(lambda pair=pair: check(*pair))[:12] for pair in values]


def test_values_that_differ_by_rounding_pass():
    assert verdicts((-1.0, -1.01), (-1.02, -1.03), (-1.3, -1.2)) == ["", "", ""]


def test_values_that_stand_still_may_do_so_only_while_the_trainers_do():
    still = (-1.0, -1.0)
    assert verdicts(still, (-1.0, -1.004), (-1.0, -1.006)) == ["", "", "vLLM ignores"]


def test_a_slow_drift_of_the_trainer_adds_up():
    drift = [(-1.0, -1.0 - step / 1000) for step in range(7)]
    assert verdicts(*drift) == [""] * 6 + ["vLLM ignores"]


def test_values_that_are_not_numbers_part():
    assert verdicts((float("nan"), -1.0)) == ["vLLM does no"]


def test_the_first_syncs_and_every_fourth_later_one_are_checked(monkeypatch):
    sent = []
    monkeypatch.setattr("slmsql.training.weight_sync.send_weights", sent.append)
    monkeypatch.setattr("slmsql.training.weight_sync.engine_logprobs", lambda *_: [-1.0])
    sync = WeightSync("engine", [1, 2], lambda _: [-1.0], tolerance=0.2, timeout=60)
    reports = [sync.run() for _ in range(20)]
    checked = [number for number, report in enumerate(reports, 1) if report.difference is not None]
    assert checked == [*range(1, 9), 12, 16, 20]
    assert sent == ["engine"] * 20


def test_a_block_that_hangs_ends_with_one_line():
    code = """
import time
from slmsql.training.deadline import deadline
with deadline(0.1, "too slow"):
    time.sleep(60)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (ended.returncode, ended.stderr) == (2, "error: too slow\n")


def test_a_block_in_time_goes_on():
    with deadline(60, "too slow"):
        pass
