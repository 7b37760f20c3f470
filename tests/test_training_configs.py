"""Every training config says what matters itself, so that a new version of TRL changes nothing."""

from pathlib import Path

import pytest
import yaml

from slmsql.cli.config import load_config
from slmsql.training.attention import AUTO

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "configs" / "quickstart"
SFT = [*sorted((ROOT / "configs/sft").glob("*.yaml")), *sorted(QUICKSTART.glob("*sft.yaml"))]
RL = [*sorted((ROOT / "configs/rl").glob("*.yaml")), *sorted(QUICKSTART.glob("*grpo.yaml"))]

OPTIMISER = {
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "optim", "weight_decay"),
    *("adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "seed"),
    *("per_device_train_batch_size", "gradient_checkpointing"),
}
MODEL = {"dtype", "attn_implementation"}
# Rows: TRL cuts them at 1,024 tokens, and takes the loss on the prompt if it is not told otherwise.
ROWS = {"max_length", "packing", "completion_only_loss"}
# The loss: a sum or a mean, over tokens, completions or devices.
SFT_LOSS = {"loss_type", "average_tokens_across_devices"}
GRPO_LOSS = {
    *("loss_type", "beta", "use_bias_correction_kl", "epsilon", "num_iterations"),
    *("importance_sampling_level", "scale_rewards", "multi_objective_aggregation"),
    "mask_truncated_completions",
}
# Rollouts: TRL's 512 tokens would cut thinking answers.
SAMPLING = {
    *("num_generations", "max_completion_length", "temperature", "top_p", "top_k"),
    "repetition_penalty",
}
ADAPTER = {"lora_r", "lora_alpha", "lora_dropout", "lora_target_modules"}
FOUR_BIT = {"bnb_4bit_quant_type", "use_bnb_nested_quant"}


@pytest.mark.parametrize("path", [*SFT, *RL], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_setting_that_matters_is_left_to_a_default(path):
    config = load_config(path)
    needed = OPTIMISER | MODEL | (ROWS | SFT_LOSS if path in SFT else GRPO_LOSS | SAMPLING)
    needed |= ADAPTER if config.get("use_peft") else set()
    needed |= FOUR_BIT if config.get("load_in_4bit") else set()
    if config.get("vllm_mode") == "colocate":
        needed |= {"vllm_max_model_length", "vllm_importance_sampling_mode"}
    assert not needed - config.keys()


@pytest.mark.parametrize("path", [*SFT, *RL], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_attention_is_what_the_machine_has(path):
    assert load_config(path)["attn_implementation"] == AUTO


@pytest.mark.parametrize("path", [*SFT, *RL], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_whole_models_are_trained_in_float32_or_under_deepspeed(path):
    config = load_config(path)
    launch = [word for word in path.read_text().split() if word.startswith("configs/accelerate/")]
    kinds = {yaml.safe_load((ROOT / file).read_text())["distributed_type"] for file in launch}
    is_whole = not config.get("use_peft")
    if is_whole and config["dtype"] != "float32":
        assert kinds == {"DEEPSPEED"}


def test_a_prompt_and_a_completion_fit_the_context_of_vllm():
    for path in RL:
        config = load_config(path)
        if "vllm_max_model_length" in config:
            longest = config["max_prompt_length"] + config["max_completion_length"]
            assert longest <= config["vllm_max_model_length"], path


def test_fsdp2_leaves_the_precision_to_the_training_config():
    config = yaml.safe_load((ROOT / "configs/accelerate/fsdp2.yaml").read_text())
    assert (config["distributed_type"], config["fsdp_config"]["fsdp_version"]) == ("FSDP", 2)
