"""Rows side by side are computed as if each were alone, by torch's own attention."""

import pytest
import torch

from slmsql.training.varlen import register_varlen, varlen_attention
from tests.tiny_model import tiny_model

LENGTHS = (7, 12, 1, 5)


@pytest.fixture(scope="module")
def rows():
    torch.manual_seed(0)
    return [torch.randint(10, 400, (length,)) for length in LENGTHS]


def load(folder, kind="qwen2", **config):
    from transformers import AutoModelForCausalLM

    register_varlen()
    return AutoModelForCausalLM.from_pretrained(
        tiny_model(folder, kind), attn_implementation="varlen", **config
    ).train()


def side_by_side(rows):
    positions = torch.cat([torch.arange(len(row)) for row in rows])
    return {"input_ids": torch.cat(rows)[None], "position_ids": positions[None]}


def starts(rows):
    return torch.tensor([0, *(len(row) for row in rows)]).cumsum(0).to(torch.int32)


def alone(model, rows):
    logits = [model(input_ids=row[None], use_cache=False).logits for row in rows]
    return torch.cat(logits, dim=1)


@pytest.mark.parametrize("given", [True, False], ids=["starts given", "starts from positions"])
@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "llama", "mistral"])
def test_each_row_is_computed_as_if_it_were_alone(tmp_path, rows, kind, given):
    model = load(tmp_path, kind)
    batch = side_by_side(rows) | ({"cu_seq_lens_q": starts(rows)} if given else {})
    together = model(**batch, use_cache=False).logits
    torch.testing.assert_close(together, alone(model, rows), atol=1e-5, rtol=0)


def test_gradients_are_those_of_the_rows_alone(tmp_path, rows):
    model = load(tmp_path)
    model(**side_by_side(rows), use_cache=False).logits.square().sum().backward()
    together = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    alone(model, rows).square().sum().backward()
    expected = [parameter.grad for parameter in model.parameters()]
    torch.testing.assert_close(together, expected, atol=1e-4, rtol=1e-4)


def test_a_sliding_window_holds_within_a_row(tmp_path, rows):
    window = {"sliding_window": 4}
    model = load(tmp_path / "varlen", "mistral", **window)
    together = model(**side_by_side(rows), use_cache=False).logits
    model.set_attn_implementation("eager")
    torch.testing.assert_close(together, alone(model, rows), atol=1e-5, rtol=0)


def test_a_padded_batch_is_computed_as_sdpa_does(tmp_path, rows):
    model = load(tmp_path)
    ids, mask = torch.zeros(2, 12, dtype=torch.long), torch.zeros(2, 12, dtype=torch.long)
    for i, row in enumerate(rows[:2]):
        ids[i, -len(row) :], mask[i, -len(row) :] = row, 1
    logits = model(input_ids=ids, attention_mask=mask).logits[mask.bool()]
    torch.testing.assert_close(logits[None], alone(model, rows[:2]), atol=1e-5, rtol=0)


def test_generation_gives_what_sdpa_generates(tmp_path, rows):
    model = load(tmp_path).eval()
    generate = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    ours = model.generate(rows[0][None], **generate)
    model.set_attn_implementation("sdpa")
    assert torch.equal(ours, model.generate(rows[0][None], **generate))


def test_nothing_as_large_as_a_mask_over_all_tokens_is_kept():
    many, heads, width = 64, 2, 8
    tokens = many * 16
    saved = []

    def keep(tensor):
        saved.append(tensor.numel())
        return tensor

    query, key, value = torch.randn(3, 1, heads, tokens, width, requires_grad=True).unbind()
    cuts = torch.arange(0, tokens + 1, 16, dtype=torch.int32)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        varlen_attention(torch.nn.Module(), query, key, value, None, cu_seq_lens_q=cuts)
    assert max(saved) <= heads * tokens * width < tokens * tokens
