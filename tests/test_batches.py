"""Batches of similar length have the losses and log-probabilities of TRL's padded ones."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rl.batches import by_length, cut, logprobs_by_length

LENGTHS = [(9, 2), (3, 4), (5, 1), (2, 2), (7, 6), (4, 3)]  # of prompts and completions


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 50}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model("qwen2", **sizes, **heads)).eval()


def generation():
    """One generation as TRL pads it, with a column of each kind."""
    torch.manual_seed(1)
    prompts, completions = (max(part) for part in zip(*LENGTHS, strict=True))
    batch = {
        "prompt_ids": torch.zeros(6, prompts, dtype=torch.long),
        "prompt_mask": torch.zeros(6, prompts, dtype=torch.long),
        "completion_ids": torch.zeros(6, completions, dtype=torch.long),
        "completion_mask": torch.zeros(6, completions, dtype=torch.long),
        "advantages": torch.arange(6.0),
        "num_items_in_batch": torch.tensor(18),
    }
    for row, (prompt, completion) in enumerate(LENGTHS):
        batch["prompt_ids"][row, -prompt:] = torch.randint(1, 50, (prompt,))
        batch["prompt_mask"][row, -prompt:] = 1
        batch["completion_ids"][row, :completion] = torch.randint(1, 50, (completion,))
        batch["completion_mask"][row, :completion] = 1
    batch["sampling_per_token_logps"] = batch["completion_ids"] * -0.1
    batch["importance_sampling_ratio"] = torch.ones(6, 1)
    return batch


def split(batch, count):
    size = 6 // count
    return [
        {
            name: value[start : start + size] if value.dim() else value
            for name, value in batch.items()
        }
        for start in range(0, 6, size)
    ]


def scorer(model):
    def score(ids, mask, kept):
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask).logits[:, -kept - 1 : -1]
        return logits.log_softmax(-1).gather(2, ids[:, -kept:, None])[..., 0]

    return score


def scores(score, batch):
    """Log-probabilities of the tokens of each row, by the row's advantage, which names it here."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    found = score(ids, mask, batch["completion_ids"].shape[1])
    return {
        int(name): row[used.bool()]
        for name, row, used in zip(
            batch["advantages"], found, batch["completion_mask"], strict=True
        )
    }


def test_rows_of_similar_length_share_a_batch_and_keep_their_scores(model):
    padded = generation()
    batches = [cut(batch) for batch in by_length(split(padded, 3), 3)]
    assert [batch["advantages"].tolist() for batch in batches] == [[4, 0], [1, 5], [2, 3]]
    widths = [(b["prompt_ids"].shape[1], b["completion_ids"].shape[1]) for b in batches]
    assert widths == [(9, 6), (4, 4), (5, 2)]
    assert all(b["sampling_per_token_logps"].shape == b["completion_ids"].shape for b in batches)
    assert all(b["importance_sampling_ratio"].shape == (2, 1) for b in batches)
    assert all(b["num_items_in_batch"] == 18 for b in batches)
    expected = scores(scorer(model), padded)
    for batch in batches:
        for name, row in scores(scorer(model), batch).items():
            assert torch.allclose(row, expected[name], atol=1e-5)


def test_rows_stay_in_their_update():
    batches = by_length(split(generation(), 6), 2)
    names = [int(batch["advantages"]) for batch in batches]
    assert [set(names[:2]), set(names[2:4]), set(names[4:])] == [{0, 1}, {2, 3}, {4, 5}]


def test_log_probabilities_by_length_are_those_of_the_padded_generation(model):
    padded, widths = generation(), []
    score = scorer(model)

    def short(ids, mask, kept):
        widths.append(ids.shape[1])
        return score(ids, mask, kept)

    def in_batches(ids, mask, kept):
        return logprobs_by_length(short, ids, mask, kept, 2)

    expected, found = scores(score, padded), scores(in_batches, padded)
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in expected)
    assert widths == [15, 8, 7]


def test_a_batch_whose_completions_are_all_masked_keeps_a_column():
    batch = generation()
    batch["completion_mask"].zero_()
    assert cut(batch)["completion_ids"].shape == (6, 1)
