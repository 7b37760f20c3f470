"""Every GRPO config parses with the program's own classes and says what its name says."""

from pathlib import Path

import pytest

from rl.options import Options
from slmsql.cli.config import load_config, parse_with_trainer

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
