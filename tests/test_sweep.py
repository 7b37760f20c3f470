"""A sweep holds rows out, names each training by its settings, and shows what came of it."""

from itertools import pairwise
from pathlib import Path

import pytest

from scripts.sweep import Options, Point, _figures, _split_rows, _stage
from slmsql.errors import InputError
from slmsql.files import read_jsonl, write_json, write_jsonl


@pytest.fixture
def options(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [{"id": n} for n in range(12)])
    return Options(
        grpo_config=Path("configs/quickstart/grpo.yaml"),
        model=Path("a model"),
        rows=tmp_path / "rows.jsonl",
        output=tmp_path / "sweep",
        learning_rates=[1e-4],
        group_sizes=[4],
        held_out=2,
        more="--report_to wandb",
    )


def test_the_last_rows_are_held_out(options):
    _split_rows(options)
    files = {
        name: list(read_jsonl(options.output / name))
        for name in ("train.jsonl", "validation.jsonl")
    }
    assert [len(rows) for rows in files.values()] == [10, 2]
    assert files["validation.jsonl"][0] == {"id": 10}


def test_too_few_rows_are_refused(options):
    options.held_out = 12
    with pytest.raises(InputError, match="12 rows, so 12 is too many"):
        _split_rows(options)


def test_a_training_gets_its_own_settings_and_the_words_of_the_user(options):
    words = _stage(Point(1e-4, 4), options).words
    given = dict(pairwise(words))
    assert given["--model_name_or_path"] == "a model"
    assert (given["--learning_rate"], given["--num_generations"]) == ("0.0001", "4")
    assert given["--report_to"] == "wandb"
    assert given["--output_dir"].endswith("sweep/lr_0.0001_group_4")


def test_figures_are_the_first_accuracy_and_the_last_of_each_training(options):
    def entry(accuracy):
        ends = {"eval_ex_greedy_low": accuracy - 0.1, "eval_ex_greedy_high": accuracy + 0.1}
        return {"eval_ex_greedy": accuracy, "eval_questions": 100.0, **ends}

    points = [Point(1e-4, 4), Point(1e-4, 8)]
    for point, last in zip(points, (0.5, 0.6), strict=True):
        history = [entry(0.3), {"loss": 1.0}, entry(last)]
        file = options.output / point.folder / "trainer_state.json"
        write_json(file, {"log_history": history})
    before, first, second = _figures(points, options.output)
    assert (before["name"], before["value"]) == ("before", 30.0)
    assert [first["value"], second["value"]] == [50.0, 60.0]
    assert second["interval"] == [50.0, 70.0]
    assert second["name"] == "learning rate 0.0001, groups of 8"
