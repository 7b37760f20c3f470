"""The best attention that is installed is chosen; a named one that is missing is refused."""

from types import SimpleNamespace

import pytest
import torch
from trl import ModelConfig

from slmsql.errors import InputError
from slmsql.training import attention
from slmsql.training.attention import check_attention, choose_attention, keeps_rows_apart


def arguments(**changes):
    given = {"bf16": True, "fp16": False, "use_cpu": False, "process_index": 0}
    return SimpleNamespace(**{**given, **changes})


@pytest.fixture
def machine(monkeypatch):
    """Makes the choice on a machine with this GPU and these packages."""

    def choose(gpu, packages=(), name="auto", **changes):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: gpu)
        monkeypatch.setattr(attention, "find_spec", lambda package: package in packages or None)
        model = ModelConfig(attn_implementation=name, dtype="float32")
        choose_attention(arguments(**changes), model)
        return model.attn_implementation

    return choose


H100, A100, T4 = (9, 0), (8, 0), (7, 5)
BOTH = ("flash_attn", "flash_attn_interface")


@pytest.mark.parametrize(
    ("gpu", "packages", "chosen"),
    [
        (None, BOTH, "varlen"),
        (H100, (), "varlen"),
        (H100, BOTH, "flash_attention_3"),
        (H100, ("flash_attn",), "flash_attention_2"),
        (A100, BOTH, "flash_attention_2"),
        (T4, BOTH, "varlen"),
    ],
)
def test_auto_takes_the_best_that_the_machine_has(machine, capsys, gpu, packages, chosen):
    assert machine(gpu, packages) == chosen
    assert capsys.readouterr().out == f"attention: {chosen}\n"


def test_auto_is_the_default_and_one_process_prints_it(machine, capsys):
    assert machine(None, name=None, process_index=1) == "varlen"
    assert not capsys.readouterr().out


def test_float32_arithmetic_uses_no_flash_attention(machine):
    assert machine(H100, BOTH, bf16=False) == "varlen"


def test_without_an_answer_of_the_hub_torch_does_it(machine, monkeypatch, caplog):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert machine(A100, ("kernels",)) == "varlen"
    assert "kernels-community/flash-attn2 was not fetched" in caplog.text


@pytest.mark.parametrize("name", ["sdpa", "eager", "flex_attention", "paged|sdpa", "varlen"])
def test_attention_that_torch_has_is_always_there(machine, name):
    assert machine(None, name=name) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flash_attention_2", r"needs the package flash_attn or kernels, which is not installed"),
        ("flash_attention_4", "needs the package flash_attn,"),
        ("kernels-community/flash-attn2", "needs the package kernels"),
        ("flash", r"unknown attn_implementation 'flash'; expected one of auto, eager, sdpa"),
    ],
)
def test_attention_that_is_not_installed_is_refused(machine, name, message):
    with pytest.raises(InputError, match=message):
        machine(H100, name=name)


def test_attention_that_is_installed_is_accepted(monkeypatch):
    monkeypatch.setattr(attention, "find_spec", lambda package: package == "kernels")
    check_attention("flash_attention_2")


def test_only_attention_without_a_mask_keeps_rows_apart():
    assert all(map(keeps_rows_apart, ["varlen", "flash_attention_2", "kernels-community/x"]))
    assert not any(map(keeps_rows_apart, ["sdpa", "eager", "flex_attention"]))
