"""Layers that compute cheap results again keep less; loss and gradients stay the same."""

from types import SimpleNamespace

import pytest
import torch

from slmsql.training.recomputation import recompute_cheap_results, recomputes
from tests.tiny_model import tiny_model

KINDS = ["qwen2", "qwen3", "llama", "mistral"]


def load(folder, kind, *, adapter=False):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model(folder, kind), dtype="float32").train()
    if not adapter:
        return model
    torch.manual_seed(1)
    lora = LoraConfig(target_modules="all-linear", init_lora_weights=False, lora_dropout=0.0)
    return get_peft_model(model, lora)


def loss_and_gradients(model, *, half=False):
    """Of one batch, with the bytes that the forward pass keeps."""
    torch.manual_seed(0)
    ids = torch.randint(10, 400, (3, 24))
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16, enabled=half),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    size = sum(storage.nbytes() for storage in kept.values())
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return loss.detach(), gradients, size


@pytest.mark.parametrize("adapter", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradients_stay_while_less_is_kept(tmp_path, kind, adapter):
    model = load(tmp_path, kind, adapter=adapter)
    loss, gradients, size = loss_and_gradients(model)
    recompute_cheap_results(model)
    again_loss, again_gradients, smaller = loss_and_gradients(model)
    torch.testing.assert_close((again_loss, again_gradients), (loss, gradients))
    assert smaller < size


@pytest.mark.parametrize("kind", KINDS)
def test_in_16_bit_arithmetic_the_loss_is_equal_and_gradients_differ_by_its_rounding(
    tmp_path, kind
):
    model = load(tmp_path, kind)
    loss, gradients, size = loss_and_gradients(model, half=True)
    recompute_cheap_results(model)
    again_loss, again_gradients, smaller = loss_and_gradients(model, half=True)
    assert again_loss == loss
    for name, gradient in gradients.items():
        difference = (again_gradients[name] - gradient).norm()
        assert difference <= 0.02 * gradient.norm(), name
    assert smaller < size


def test_a_model_of_other_layers_is_left_as_it_is(tmp_path):
    model = load(tmp_path, "lfm2")
    _, _, size = loss_and_gradients(model)
    recompute_cheap_results(model)
    assert loss_and_gradients(model)[2] == size


@pytest.mark.parametrize(
    ("use_cpu", "gradient_checkpointing", "expected"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_only_runs_on_a_cpu_that_keep_whole_layers_do_so(use_cpu, gradient_checkpointing, expected):
    training = SimpleNamespace(use_cpu=use_cpu, gradient_checkpointing=gradient_checkpointing)
    assert recomputes(training) is expected
