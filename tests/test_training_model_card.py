"""A model's card says what it was made from, how, and how it scored."""

from slmsql.training.model_card import model_card

RECORD = {
    "arguments": {
        "model_name_or_path": "Qwen/X",
        "data": "rows.jsonl",
        "data_hash": "abc",
        "learning_rate": 1e-3,
        "seed": 42,
    },
    "versions": {"torch": "2.13.0"},
}


def test_it_has_data_arguments_versions_and_the_last_scores():
    history = [
        {"step": 10, "eval_ex_greedy": 0.25},
        {"step": 20, "eval_ex_greedy": 0.5, "eval_loss": 1.25},
        {"step": 20, "loss": 1.0},
    ]
    card = model_card(RECORD, history, method="sft", rows=900)
    for line in (
        "base_model: Qwen/X",
        "| SHA-256 | abc |",
        "| rows (packs, where packed) | 900 |",
        "| learning_rate | 0.001 |",
        "| eval_ex_greedy | 0.5 at step 20 |",
        "| torch | 2.13.0 |",
    ):
        assert line in card.splitlines()


def test_a_run_without_evaluations_says_so():
    assert "| scores | none: the run had no evaluations |" in model_card(
        RECORD, [], method="sft", rows=1
    )


def test_a_folder_is_no_base_model_that_the_hub_knows(tmp_path):
    record = {**RECORD, "arguments": {**RECORD["arguments"], "model_name_or_path": str(tmp_path)}}
    card = model_card(record, [], method="sft", rows=1)
    assert "base_model:" not in card
    assert f"Made from `{tmp_path}`" in card
