"""Tokens that one number decides."""

import numpy as np
import pytest
import torch

from slmsql.sampling.seeded import choose, uniform

LOGITS = torch.tensor([0.5, -1.0, 2.0, 0.0, 1.0])
MANY = 20_000


def shares(logits, *, temperature=1.0, top_p=1.0):
    """How often each token is chosen in many draws."""
    numbers = uniform([7] * MANY, list(range(MANY)))
    rows = logits.expand(MANY, -1)
    chosen = choose(rows, numbers, [temperature] * MANY, [top_p] * MANY)
    return torch.bincount(chosen, minlength=len(logits)) / MANY


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_tokens_are_chosen_as_often_as_their_probability_says(temperature):
    expected = (LOGITS / temperature).softmax(-1)
    # Four standard errors.
    assert (shares(LOGITS, temperature=temperature) - expected).abs().max() < 4 * 0.5 / MANY**0.5


def test_tokens_beyond_the_mass_of_top_p_are_never_chosen():
    most_likely = LOGITS.argsort(descending=True)[:2]  # 0.56 and 0.21 of the mass
    chosen = shares(LOGITS, top_p=0.7)
    assert set(chosen.nonzero()[:, 0].tolist()) == set(most_likely.tolist())
    expected = LOGITS[most_likely].softmax(-1)
    assert torch.allclose(chosen[most_likely], expected, atol=4 * 0.5 / MANY**0.5)


def test_rows_of_one_batch_may_have_different_top_p_and_temperatures():
    numbers = np.array([0.999, 0.999])
    chosen = choose(LOGITS.expand(2, -1), numbers, [1.0, 1.0], [0.3, 1.0])
    assert chosen[0] == LOGITS.argmax()
    assert chosen[1] != LOGITS.argmax()


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2**-24])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_a_blocked_token_is_never_chosen(number, top_p):
    logits = torch.full((1, 50_000), float("-inf"))
    logits[0, 20_000:20_003] = torch.tensor([1.0, 0.0, 2.0])
    chosen = choose(logits, np.array([number]), [0.8], [top_p])
    assert 20_000 <= chosen.item() < 20_003


def test_a_row_does_not_depend_on_the_others():
    logits = torch.randn(5, 1000, generator=torch.Generator().manual_seed(1))
    seeds, positions = [3, 1, 4, 1, 5], [0, 7, 2, 9, 4]
    together = choose(logits, uniform(seeds, positions), [0.8] * 5, [1.0] * 5)
    for row in range(5):
        number = uniform(seeds[row : row + 1], positions[row : row + 1])
        assert choose(logits[row : row + 1], number, [0.8], [1.0]) == together[row]


def test_numbers_of_neighbouring_seeds_and_positions_are_unrelated():
    of_seeds = uniform(list(range(MANY)), [0] * MANY)
    of_positions = uniform([0] * MANY, list(range(MANY)))
    for numbers in (of_seeds, of_positions):
        assert 0 <= numbers.min() < numbers.max() < 1
        assert abs(numbers.mean() - 0.5) < 4 * 0.29 / MANY**0.5
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 4 / MANY**0.5
    assert abs(np.corrcoef(of_seeds, of_positions)[0, 1]) < 4 / MANY**0.5
    assert len(set(of_seeds)) > 0.99 * MANY
