"""The benchmark of a GRPO step."""

import pytest

from rl.step_clock import PARTS
from scripts.bench.step import texts_by_prompt
from slmsql.execution import create_database
from slmsql.files import read_json, read_jsonl, write_jsonl
from slmsql.prompt.answer import parse
from tests.tiny_model import tiny_model
from tests.warm_programs import Program


def row(number, database, sql):
    prompt = [{"role": "user", "content": f"<think></think><answer></answer> Question {number}?"}]
    return {"id": f"q{number}", "prompt": prompt, "database": str(database), "gold_sql": sql}


def queries(texts):
    return [parse(text).sql for text in texts]


def test_a_group_has_the_gold_query_and_others_of_its_database():
    rows = [row(n, "a.sqlite", f"SELECT {n}") for n in range(4)] + [row(4, "b.sqlite", "SELECT 4")]
    groups = list(texts_by_prompt(rows, 4, seed=1).values())
    for number in range(4):
        assert queries(groups[number])[0] == f"SELECT {number}"
        assert set(queries(groups[number])) == {f"SELECT {n}" for n in range(4)}
    assert queries(groups[4]) == ["SELECT 4"] * 4  # its database has no other query


def test_a_group_larger_than_the_queries_of_its_database_repeats_them():
    rows = [row(n, "a.sqlite", f"SELECT {n}") for n in range(3)]
    group = queries(next(iter(texts_by_prompt(rows, 8, seed=1).values())))
    assert len(group) == 8
    assert group.count("SELECT 0") == 1


@pytest.mark.slow
def test_a_real_training_samples_and_is_rewarded_for_the_queries_in_their_place(warm, tmp_path):
    shop = tmp_path / "shop.sqlite"
    create_database(shop, "CREATE TABLE item (id INTEGER); INSERT INTO item VALUES (1), (2);")
    sql = ["SELECT id FROM item", "SELECT count(*) FROM item", "SELECT 7"]
    write_jsonl(tmp_path / "rows.jsonl", [row(n, shop, text) for n, text in enumerate(sql)])
    options = {
        "model_name_or_path": tiny_model(tmp_path / "model"),
        "train_file": tmp_path / "rows.jsonl",
        "output_dir": tmp_path / "run",
        "per_device_train_batch_size": 6,
        "num_generations": 3,
        "max_steps": 2,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = ["python", "scripts/bench/step.py", "--config", "configs/quickstart/grpo.yaml"]
    status, text = Program(warm, [*command, *words], tmp_path / "log").finish()
    assert status == 0, text[-3000:]
    assert text.splitlines()[-3].split()[0] == "1"
    assert text.splitlines()[-1].startswith("later")
    for step in read_json(tmp_path / "run" / "step_times.json"):
        whole = sum(step[part] for part in PARTS)
        assert step["reward_share"] == pytest.approx(step["reward"] / whole)
        assert min(step["rollout"], step["update"]) > 0
    rollouts = list(read_jsonl(tmp_path / "run" / "rollouts" / "rank-00000.jsonl"))
    assert [rollout["rewards"]["execution"] for rollout in rollouts] == [1, 0, 0] * 4
    assert {rollout["sql"] for rollout in rollouts} == set(sql)
