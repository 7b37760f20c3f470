"""A merged model computes what the adapter on its base computed; anything else is refused."""

import pytest
import torch

from scripts.merge_adapter import Options, main, merge
from slmsql.errors import InputError
from slmsql.files import read_json
from tests.tiny_model import tiny_model


@pytest.fixture
def adapter(tmp_path):
    """An adapter whose matrices are both far from zero, on a tiny model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path / "base"))
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_the_merged_model_computes_the_same(adapter, tmp_path):
    figures = merge(Options(adapter, tmp_path / "merged", dtype="float32"))
    assert figures["largest"] < 1e-4
    assert figures["same_choice"] == 1
    assert read_json(tmp_path / "merged" / "merge.json")["largest"] == figures["largest"]


def test_it_differs_from_the_base(adapter, tmp_path):
    from transformers import AutoModelForCausalLM

    merge(Options(adapter, tmp_path / "merged", dtype="float32"))
    ids = torch.tensor([[5, 6, 7]])
    merged, base = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name)(ids).logits
        for name in ("merged", "base")
    )
    assert (merged - base).abs().max() > 0.01


def test_the_merged_weights_have_the_type_asked_for(adapter, tmp_path):
    from transformers import AutoModelForCausalLM

    merge(Options(adapter, tmp_path / "merged", dtype="bfloat16"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype="auto")
    assert model.dtype == torch.bfloat16


@pytest.mark.slow
def test_a_merge_that_computes_something_else_gets_no_name(adapter, tmp_path, monkeypatch):
    monkeypatch.setitem(merge.__globals__["TOLERANCE"], "float32", -1.0)
    with pytest.raises(InputError, match="differs from the adapter"):
        merge(Options(adapter, tmp_path / "merged", dtype="float32"))
    assert not (tmp_path / "merged").exists()


def test_a_folder_that_is_not_an_adapter_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["x", "--adapter", str(tmp_path), "--output", "merged"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert "is not an adapter" in capsys.readouterr().err
