"""The check of attention runs where torch's own are."""

import sys

import pytest

from scripts.bench import attention
from slmsql.errors import InputError
from slmsql.training.attention import IN_TORCH
from tests.tiny_model import tiny_model


def test_attention_of_torch_keeps_the_rows_of_a_pack_apart(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--model", str(tiny_model(tmp_path))])
    attention.main()
    words = capsys.readouterr().out.split()
    assert [name for name in words if name in IN_TORCH] == ["eager", "sdpa", "varlen"]


def test_attention_across_rows_is_found(tmp_path, monkeypatch):
    from slmsql.training import varlen

    def ignore_borders(*args):
        return None  # plain causal attention over all tokens

    monkeypatch.setattr(varlen, "_starts", ignore_borders)
    monkeypatch.setattr(sys, "argv", ["x", "--model", str(tiny_model(tmp_path))])
    with pytest.raises(InputError, match="see each other with varlen"):
        attention.main()
