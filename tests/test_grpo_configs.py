"""Every GRPO config parses with the program's own classes and says what its name says."""

import re
import sys
from pathlib import Path

import pytest

from rl.options import Options
from slmsql.cli.config import load_config, parse_with_trainer
from slmsql.execution import create_database
from slmsql.files import read_json, write_jsonl
from slmsql.prompt.build import Layout, PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.rows.formats import grpo_row
from tests.tiny_model import tiny_model

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs" / "rl").glob("*.yaml"))
PUBLISHED = [path for path in CONFIGS if path.stem.startswith("slm_sql")]
ON_A_LAPTOP = ["--use_cpu=true", "--bf16=false"]


def parsed(path):
    words = ["--config", str(path), *ON_A_LAPTOP]
    if path in PUBLISHED:  # three processes, of which this is one, fill two groups of six
        batch = 3 * load_config(path)["per_device_train_batch_size"]
        words.append(f"--per_device_train_batch_size={batch}")
    options, (training, model) = parse_with_trainer(
        Options, ["trl:GRPOConfig", "trl:ModelConfig"], about=None, argv=words
    )
    return options, training, model


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_parses_and_names_itself(path):
    options, training, model = parsed(path)
    assert options.rewards == ["execution", "format"]
    assert training.reward_weights == [1.0, 0.1]
    assert training.output_dir == f"outputs/{path.stem}_grpo"
    assert f"configs/rl/{path.stem}.yaml" in path.read_text()
    assert model.model_name_or_path.startswith("outputs/slm_sql_")
    assert (training.eval_strategy != "no") == bool(options.validation_file)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_settings_are_the_published_ones(path):
    options, training, _ = parsed(path)
    assert (training.num_generations, training.learning_rate) == (6, 3e-6)
    assert (training.lr_scheduler_type, training.warmup_steps) == ("cosine", 0.1)
    assert (options.max_prompt_length, training.max_completion_length) == (8192, 1024)
    assert (training.beta, training.temperature, training.loss_type) == (0.04, 0.9, "bnpo")
    assert not options.skip_zero_variance
    assert (training.num_train_epochs == 3) == path.stem.endswith("_merge")


def test_every_sft_backbone_of_slm_sql_has_its_two_rl_configs():
    names = {path.stem for path in PUBLISHED}
    for sft in (ROOT / "configs" / "sft").glob("slm_sql_*.yaml"):
        output = load_config(sft)["output_dir"]
        if Path(output).name == sft.stem and not sft.stem.endswith("gb"):
            assert sft.stem in names


def test_the_current_variant_has_no_kl_and_clips_higher():
    _, training, _ = parsed(ROOT / "configs" / "rl" / "current.yaml")
    assert (training.beta, training.loss_type) == (0.0, "dapo")
    assert training.epsilon_high > training.epsilon


def test_gspo_and_cispo_differ_from_the_current_variant_in_their_loss_alone():
    loss = {"epsilon", "epsilon_high", "loss_type", "importance_sampling_level"}
    current = load_config(ROOT / "configs/rl/current.yaml")
    for name in ("gspo", "cispo"):
        variant = load_config(ROOT / f"configs/rl/{name}.yaml")
        differences = {key for key in variant if variant[key] != current.get(key)}
        assert differences <= {*loss, "steps_per_generation", "output_dir"}


def test_the_published_configs_differ_in_names_and_epochs_alone():
    texts = set()
    for path in PUBLISHED:
        if path.stem.endswith("_merge"):
            continue
        backbone = path.stem.removeprefix("slm_sql_")
        text = path.read_text().replace(backbone, "BACKBONE")
        texts.add(re.sub(r"GRPO of \S+ with", "GRPO of MODEL with", text))
    assert len(texts) == 1


@pytest.fixture
def rows(tmp_path):
    """Files of rows to train on and of others to validate on."""
    database = tmp_path / "shop" / "shop.sqlite"
    create_database(database, "CREATE TABLE item (id INTEGER); INSERT INTO item VALUES (1);")
    files = []
    for name in ("train", "held"):
        questions = [
            Question(f"{name}{n}", f"Item {n}?", "shop", database, gold_sql="SELECT id FROM item")
            for n in range(32 if name == "train" else 2)
        ]
        prompts = [build_prompt(question, PromptSettings()).messages for question in questions]
        files.append(tmp_path / f"{name}.jsonl")
        pairs = zip(questions, prompts, strict=True)
        write_jsonl(files[-1], [grpo_row(q, messages, Layout.THINK) for q, messages in pairs])
    return files


def kind_of(path):
    """The tiny model whose architecture a config trains."""
    return next((kind for kind in ("llama", "deepseek", "qwen3") if kind in path.stem), "qwen2")


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_trains_a_step(path, rows, tmp_path, monkeypatch, one_thread):
    """Only what this machine lacks is overridden: model, data, lengths, processes and device."""
    from rl.grpo import main

    config, (train, held) = load_config(path), rows
    machine = ["--use_cpu=true", "--use_vllm=false", "--vllm_enable_sleep_mode=false"]
    machine += ["--workers=1", "--gradient_accumulation_steps=1"]
    if path in PUBLISHED:  # one process in the place of three
        machine.append("--per_device_train_batch_size=12")
    else:
        machine.append(f"--per_device_train_batch_size={config['num_generations']}")  # one group
    if "DeepSpeed keeps a float32 copy" in path.read_text():  # which is not there
        machine.append("--dtype=float32")
    model = [f"--model_name_or_path={tiny_model(tmp_path / 'model', kind_of(path))}"]
    data = [f"--train_file={train}", f"--output_dir={tmp_path / 'out'}", "--report_to=none"]
    lengths = ["--max_steps=1", "--max_completion_length=8"]
    if "validation_file" in config:
        data.append(f"--validation_file={held}")
    words = ["rl/grpo.py", "--config", str(path), *machine, *model, *data, *lengths]
    monkeypatch.setattr(sys, "argv", words)
    main()
    logs = read_json(tmp_path / "out" / "trainer_state.json")["log_history"]
    losses = [log for log in logs if "loss" in log]
    assert [log["step"] for log in losses] == [1]
    assert "groups/same_execution" in losses[0]
