"""Losses, advantages and completions that would teach nothing, or the wrong thing, are found."""

from types import SimpleNamespace

import pytest
import torch
from trl import GRPOConfig

from rewards import format_reward
from rl.options import _check_loss
from rl.tokenizer import read_completions_whole
from slmsql.errors import InputError
from slmsql.prompt.build import Layout, target
from tests.tiny_model import tiny_tokenizer


def config(tmp_path, **options):
    return GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **options)


@pytest.mark.parametrize("epsilons", [{}, {"epsilon_high": 0.28}, {"epsilon": 0.9}])
def test_cispo_with_a_ceiling_below_1_is_refused(tmp_path, epsilons):
    with pytest.raises(InputError, match="would clip every token"):
        _check_loss(config(tmp_path, loss_type="cispo", **epsilons))


def test_losses_that_can_teach_are_accepted(tmp_path):
    _check_loss(config(tmp_path, loss_type="cispo", epsilon_high=5.0))
    _check_loss(config(tmp_path, loss_type="dapo", epsilon_high=0.28))


def test_a_tokenizer_that_parses_responses_leaves_the_thought_in_its_place():
    from trl.chat_template_utils import add_response_schema, parse_response

    tokenizer = add_response_schema(tiny_tokenizer("qwen3"))
    answer = target("Count them.", "SELECT count(*) FROM singer", Layout.THINK)
    ids = tokenizer(answer + "<|im_end|>")["input_ids"]
    question = [{"role": "user", "content": "How many singers are there?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True)["input_ids"]
    parsed = parse_response(tokenizer, ids, prefix=prompt)
    assert format_reward([[parsed]]) == [0.0]  # what TRL would pass to the rewards
    read_completions_whole(tokenizer)
    assert getattr(tokenizer, "response_template", None) is None
    whole = tokenizer.decode(ids, skip_special_tokens=True)
    assert format_reward([[{"role": "assistant", "content": whole}]]) == [1.0]


@pytest.mark.slow  # TRL's trainer imports vLLM
def test_groups_that_differ_in_the_format_alone_are_counted():
    from rl.trainer import ExecutionGRPOTrainer

    logged = {}
    trainer = SimpleNamespace(
        _reward_names=["execution", "format"],
        _group_size=2,
        _add_metric=logged.__setitem__,
    )
    rewards = torch.tensor([[1, 1], [0, 1], [0, 1], [0, 0], [1, 1], [1, 1]], dtype=torch.float32)
    ExecutionGRPOTrainer._log_same_execution(trainer, rewards, [True, True, False])
    assert logged == {"groups/same_execution": pytest.approx(1 / 3)}
