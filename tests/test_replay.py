"""Stored groups in the place of those that teach nothing."""

import pytest
import torch

from rl.replay import PER_TOKEN, Replay, rows_of, with_rows

PAD = 9


def row(number, prompt=1, completion=2):
    """A row that can be told from others by its number."""
    return {
        "prompt_ids": torch.full((prompt,), number),
        "completion_ids": torch.full((completion,), number),
        "completion_mask": torch.ones(completion, dtype=torch.long),
        "old_per_token_logps": torch.full((completion,), -0.5 * number),
        "advantages": torch.tensor(float(number)),
    }


def group(number):
    return [row(number), row(number, prompt=3, completion=4)]


def stored(*numbers, size=8, seed=0):
    replay = Replay(size, seed)
    for number in numbers:
        replay.learn(group(number), 2)
    return replay


def numbers(chosen):
    return {place: int(one["prompt_ids"][0]) for place, one in chosen.items()}


@pytest.fixture
def batch():
    """Two groups of two as TRL pads them; the second row was cut off and masked."""
    return {
        "prompt_ids": torch.tensor([[PAD, 1], [PAD, 1], [2, 2], [2, 2]]),
        "prompt_mask": torch.tensor([[0, 1], [0, 1], [1, 1], [1, 1]]),
        "completion_ids": torch.tensor([[1, 1, 1], [1, 1, 1], [2, PAD, PAD], [2, 2, PAD]]),
        "completion_mask": torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0], [1, 1, 0]]),
        "advantages": torch.tensor([1.0, -1.0, 0.0, 0.0]),
        "old_per_token_logps": -torch.arange(12.0).view(4, 3),
        "importance_sampling_ratio": torch.tensor([[1.0], [2.0], [3.0], [4.0]]),
        "num_items_in_batch": torch.tensor(6),
    }


def test_wasted_groups_get_stored_ones_and_the_others_stay():
    chosen = numbers(stored(5, 6, 7).choose(3, [True, False, True, False]))
    assert sorted(chosen) == [2, 3, 6, 7]
    assert chosen[2] == chosen[3] != chosen[6] == chosen[7]
    assert not stored(5).choose(3, [True, True])
    assert not stored().choose(3, [False])


def test_a_stored_group_stands_once_in_a_step_and_those_that_are_too_many_stay():
    assert numbers(stored(5).choose(3, [False, False])) == {0: 5, 1: 5}


def test_every_process_and_every_resumed_run_chooses_alike(tmp_path):
    replay = stored(*range(20), size=8, seed=3)
    replay.save(tmp_path)
    resumed = Replay(8, 3)
    resumed.load(tmp_path)
    varied = [False, True, False, False]
    for step in (1, 2, 3):
        assert numbers(resumed.choose(step, varied)) == numbers(replay.choose(step, varied))
    for mine, theirs in zip(replay.groups, resumed.groups, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)
    assert [int(rows[0]["prompt_ids"][0]) for rows in resumed.groups] == list(range(12, 20))


def test_a_checkpoint_without_groups_is_a_beginning(tmp_path):
    replay = Replay(4)
    replay.load(tmp_path)
    replay.save(tmp_path)
    replay.load(tmp_path)
    assert not replay.groups


def test_rows_lose_their_padding_and_get_it_again(batch):
    rows = rows_of(batch, range(4))
    assert [len(one["prompt_ids"]) for one in rows] == [1, 1, 2, 2]
    assert [len(one["completion_ids"]) for one in rows] == [3, 1, 1, 2]
    same = with_rows(batch, {}, PAD)
    mask = batch["completion_mask"].bool()
    for name in ("prompt_ids", "prompt_mask", "completion_mask", "advantages"):
        assert torch.equal(same[name], batch[name]), name
    for name in ("completion_ids", "old_per_token_logps"):
        assert torch.equal(same[name][mask], batch[name][mask]), name
    ratio = batch["importance_sampling_ratio"].expand(4, 3)
    assert torch.equal(same["importance_sampling_ratio"][mask], ratio[mask])


def test_a_longer_row_from_the_store_widens_the_batch(batch):
    batch.pop("importance_sampling_ratio")
    wide = with_rows(batch, {2: row(7, prompt=4, completion=5), 3: row(8)}, PAD)
    assert wide["prompt_ids"].tolist()[2:] == [[7, 7, 7, 7], [PAD, PAD, PAD, 8]]
    assert wide["prompt_mask"].sum(dim=1).tolist() == [1, 1, 4, 1]
    assert wide["completion_ids"].shape == (4, 5)
    assert wide["completion_mask"].sum(dim=1).tolist() == [3, 0, 5, 2]
    assert wide["advantages"].tolist() == [1.0, -1.0, 7.0, 8.0]
    assert wide["old_per_token_logps"][3].tolist() == [-4.0, -4.0, 0.0, 0.0, 0.0]
    assert {wide[name].shape for name in PER_TOKEN if name in wide} == {(4, 5)}
