import pytest

from slmsql.evaluation.statistics import (
    compare,
    holm,
    interval_over_groups,
    mcnemar,
    mean_interval,
    pass_at_k,
    percentile,
    share_interval,
)


def test_the_interval_of_a_share_is_what_resampling_gives():
    exact = share_interval(743, 972)
    sampled = mean_interval([100.0] * 743 + [0.0] * 229)
    assert exact.low == pytest.approx(sampled.low, abs=0.25)
    assert exact.high == pytest.approx(sampled.high, abs=0.25)


def test_all_right_is_no_certainty():
    assert share_interval(20, 20).low == pytest.approx(83.9, abs=0.1)
    assert share_interval(0, 20).high == pytest.approx(16.1, abs=0.1)


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 of 0"):
        share_interval(0, 0)


def test_no_interval_has_width_zero():
    assert mean_interval([100.0] * 20) == share_interval(20, 20)
    assert mean_interval([50.0] * 20).rounded(1) == [41.9, 58.1]
    assert mean_interval([110.0] * 20).high == 110
    assert compare([True] * 20, [True] * 20).interval.rounded(1) == [-16.1, 16.1]
    all_gained = compare([False] * 20, [True] * 20).interval
    assert (all_gained.low < 100, all_gained.high) == (True, 100)
    every_database = interval_over_groups([100.0] * 20, list("ab") * 10)
    assert every_database.low == pytest.approx(share_interval(2, 2).low)


def test_questions_of_one_database_that_stand_or_fall_together_are_not_independent():
    values = [100.0] * 50 + [0.0] * 50
    databases = [str(i // 10) for i in range(100)]
    over_questions, over_databases = mean_interval(values), interval_over_groups(values, databases)
    assert over_questions.rounded(0) == [40, 60]
    assert over_databases.rounded(0) == [20, 80]
    assert 50 in over_databases
    assert interval_over_groups(values, ["one"] * 100) is None


def test_databases_are_resampled_with_all_their_questions():
    values, databases = [100.0] * 90 + [0.0] * 10, ["large"] * 90 + ["small"] * 10
    assert interval_over_groups(values, databases).rounded() == [0, 100]
    found = compare([False] * 100, [value > 0 for value in values], databases)
    assert found.over_databases.rounded() == [0, 100]
    assert found.interval.low > 80


def test_holm_corrects_each_p_value_for_the_comparisons_that_are_left():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (1, 9, 0.021484375), (10, 0, 0.001953125)],
)
def test_mcnemar_is_the_exact_binomial_test(gained, lost, p):
    assert mcnemar(gained, lost) == pytest.approx(p)


def test_two_equal_runs_differ_by_nothing():
    outcomes = [True, False, True]
    found = compare(outcomes, outcomes)
    assert (found.difference, found.p_value, found.is_significant) == (0.0, 1.0, False)
    assert 0.0 in found.interval


def test_a_clear_gain_is_significant_and_its_interval_is_above_zero():
    found = compare([True] * 50 + [False] * 50, [True] * 80 + [False] * 20)
    assert (found.gained, found.lost, found.difference) == (30, 0, 30.0)
    assert found.is_significant
    assert found.interval.low > 0
    assert 30.0 in found.interval


def test_the_bootstrap_of_a_difference_is_that_of_drawing_questions():
    first = [True] * 60 + [False] * 40
    second = [True] * 45 + [False] * 15 + [True] * 25 + [False] * 15
    drawn = mean_interval([100.0 * (b - a) for a, b in zip(first, second, strict=True)])
    found = compare(first, second).interval
    assert found.low == pytest.approx(drawn.low, abs=1.1)
    assert found.high == pytest.approx(drawn.high, abs=1.1)


def test_runs_of_different_length_cannot_be_paired():
    with pytest.raises(ValueError, match="2 and 1"):
        compare([True, True], [True])


def test_pass_at_k_counts_draws_without_replacement():
    assert pass_at_k(1, 4, 1) == 0.25
    assert pass_at_k(1, 4, 4) == 1.0
    assert pass_at_k(2, 4, 2) == pytest.approx(5 / 6)


def test_percentiles_lie_between_the_values():
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert percentile([7.0], 0.95) == 7.0
