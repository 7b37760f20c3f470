"""Rows in one pack do not influence each other: each is computed as if it were alone."""

import pytest
import torch

from sft.models import check_packing
from slmsql.errors import InputError
from tests.tiny_model import KINDS, tiny_model

pytestmark = pytest.mark.slow  # loads models
LENGTHS = (7, 12, 5)
ATTENTION_ONLY = [kind for kind in KINDS if kind != "lfm2"]


@pytest.fixture
def rows():
    torch.manual_seed(0)
    examples = [torch.randint(10, 400, (length,)).tolist() for length in LENGTHS]
    return [{"input_ids": ids, "labels": [-100, -100, *ids[2:]]} for ids in examples]


def load(tmp_path, kind):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path, kind)).train()


def packed(rows):
    """The batch that the trainer's own packing and collation make of these rows."""
    from datasets import Dataset
    from trl import pack_dataset
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    packs = pack_dataset(Dataset.from_list(rows), seq_length=sum(LENGTHS), strategy="bfd")
    assert len(packs) == 1
    batch = DataCollatorForLanguageModeling(0, padding_free=True)(list(packs))
    return batch, packs[0]["seq_lengths"]


def logits_of(model, batch):
    """As the trainer asks for them: with a cache, positions alone would not keep rows apart."""
    return model(**batch, use_cache=False).logits


def log_probabilities(logits, labels):
    """Of each token with loss, under the logits before it."""
    chosen = torch.log_softmax(logits[:-1], -1).gather(1, labels[1:, None].clamp(min=0))[:, 0]
    return chosen[labels[1:] != -100]


@pytest.mark.parametrize("kind", ATTENTION_ONLY)
def test_packing_changes_no_probability_of_a_token_with_loss(tmp_path, rows, kind):
    model = load(tmp_path, kind)
    batch, lengths = packed(rows)
    labels = batch.pop("labels")[0]
    together = log_probabilities(logits_of(model, batch)[0], labels)
    in_order = [next(r for r in rows if len(r["input_ids"]) == length) for length in lengths]
    alone = [
        log_probabilities(
            model(input_ids=torch.tensor([row["input_ids"]])).logits[0], torch.tensor(row["labels"])
        )
        for row in in_order
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ATTENTION_ONLY)
def test_a_row_does_not_depend_on_its_neighbours_in_the_pack(tmp_path, rows, kind):
    model = load(tmp_path, kind)
    batch, lengths = packed(rows)
    batch.pop("labels")
    before = logits_of(model, batch)[0, lengths[0] :]
    batch["input_ids"][0, : lengths[0]] = 9  # the first row becomes another
    assert torch.equal(logits_of(model, batch)[0, lengths[0] :], before)


def test_a_model_whose_convolutions_look_across_rows_is_not_packed(tmp_path, rows):
    model = load(tmp_path, "lfm2")
    batch, lengths = packed(rows)
    batch.pop("labels")
    before = logits_of(model, batch)[0, lengths[0] :]
    batch["input_ids"][0, : lengths[0]] = 9
    assert not torch.equal(logits_of(model, batch)[0, lengths[0] :], before)
    with pytest.raises(InputError, match="conv layers"):
        check_packing(model.config)
