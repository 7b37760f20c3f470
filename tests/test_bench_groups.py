"""Comparing GRPO runs by the rollouts that they need."""

import pytest

from scripts.bench.groups import comparison, read_curve, table
from slmsql.errors import InputError
from slmsql.files import write_json, write_jsonl


def finished(folder, values, steps_with_variance):
    """A run with two rollouts a step and a validation after every second step."""
    history = [{"step": 2 * n, "eval_ex_greedy": value} for n, value in enumerate(values, start=1)]
    write_json(folder / "trainer_state.json", {"log_history": [{"step": 1, "loss": 0}, *history]})
    steps = range(1, 2 * len(values) + 1)
    for rank in (0, 1):
        write_jsonl(
            folder / "rollouts" / f"rank-0000{rank}.jsonl",
            [{"step": step, "has_variance": step <= steps_with_variance} for step in steps],
        )
    return folder


def test_runs_are_compared_by_the_rollouts_until_a_level(tmp_path):
    plain = read_curve(
        finished(tmp_path / "plain", [0.2, 0.3, 0.4], steps_with_variance=3), "eval_ex_greedy"
    )
    better = read_curve(
        finished(tmp_path / "better", [0.4, 0.5], steps_with_variance=4), "eval_ex_greedy"
    )
    assert (plain.rollouts, plain.zero_variance) == ((4, 8, 12), 0.5)
    assert (plain.rollouts_until(0.4), better.rollouts_until(0.4), plain.rollouts_until(0.5)) == (
        12,
        4,
        None,
    )
    assert table([plain, better], 0.4).splitlines()[2].split() == [
        *("better", "8", "0.0%", "50.0%", "50.0%", "4"),
    ]
    assert comparison([plain], [better], 0.4) == (
        "until 40.0%: 12 rollouts against 4, ratio 0.33 (0.33)"
    )
    assert comparison([plain] * 5, [better] * 4 + [plain], 0.4) == (
        "until 40.0%: 12 rollouts against 6, ratio 0.47 [0.33, 0.73] (0.33, 0.33, 0.33, 0.33, 1.00)"
    )


def test_a_run_without_validation_is_an_error(tmp_path):
    run = finished(tmp_path / "run", [], steps_with_variance=0)
    with pytest.raises(InputError, match="no 'eval_ex_greedy' in its log"):
        read_curve(run, "eval_ex_greedy")
