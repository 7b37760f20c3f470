"""Real trainings: killed and resumed, on several processes, under attack."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from slmsql.cli.programs import variables
from slmsql.execution import create_database, fingerprint
from slmsql.files import read_jsonl, write_json, write_jsonl
from slmsql.prompt.build import Layout, PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.questions.reading import read_benchmark
from slmsql.rows.formats import grpo_row
from slmsql.suites.neighbours.making import Task, make_suite
from tests.in_process import run_here
from tests.tiny_model import tiny_model
from tests.warm_programs import Program

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
TINY = {
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "max_completion_length": 16,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "gradient_checkpointing": False,
    "bf16": False,
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop" / "shop.sqlite"
    create_database(
        path,
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO item VALUES (1, 'a');",
    )
    return path


def write_rows(path, database, count, prefix="q", gold="SELECT name FROM item"):
    questions = [
        Question(f"{prefix}{n}", f"Item {prefix}{n}?", "shop", database, gold_sql=gold)
        for n in range(count)
    ]
    write_jsonl(
        path,
        [grpo_row(q, build_prompt(q, PromptSettings()).messages, Layout.THINK) for q in questions],
    )
    return path


def command(folder, options, *, launch="", program="rl/grpo.py"):
    config = folder.with_suffix(".yaml")
    config.write_text(yaml.safe_dump({**TINY, **options, "output_dir": str(folder)}))
    start = ["accelerate", "launch", "--config_file", launch] if launch else ["python"]
    return [*start, program, "--config", str(config)]


def run_afresh(*arguments, **options):
    """As users start it; returns its output."""
    executable, *words = command(*arguments, **options)
    ended = subprocess.run(
        [Path(sys.executable).with_name(executable), *words],
        cwd=ROOT,
        env={**variables(), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.fixture
def start(warm):
    """Starts a training whose processes are forked."""

    def start(folder, *arguments, **options):
        wandb = {"WANDB_DIR": str(folder.parent), "WANDB_MODE": "offline"}
        words = command(folder, *arguments, **options)
        return Program(warm, words, folder.with_suffix(".log"), **wandb)

    return start


@pytest.fixture
def run(start):
    """As `start`, to the end; returns its output."""

    def run(*arguments, **options):
        status, text = start(*arguments, **options).finish()
        assert status == 0, text[-3000:]
        return text

    return run


def history(folder):
    """What the trainer logged, by step."""
    state = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    logs = json.loads((state / "trainer_state.json").read_text())["log_history"]
    return {log["step"]: log for log in logs if "loss" in log}


def rollouts(folder):
    return [
        one for file in sorted((folder / "rollouts").glob("*.jsonl")) for one in read_jsonl(file)
    ]


def run_in_this_process(folder, options, *, program="rl/grpo.py"):
    """As `run`, where it does not matter that a training starts and ends with its process."""
    _, path, *words = command(folder, options, program=program)
    ended = run_here(path, *words)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def test_a_killed_run_resumes_as_if_it_had_not_been_killed(
    model, shop, tmp_path, one_thread, start
):
    options = {
        "model_name_or_path": str(model),
        "train_file": str(write_rows(tmp_path / "rows.jsonl", shop, 12)),
        "validation_file": str(write_rows(tmp_path / "held.jsonl", shop, 4, "h")),
        "validation_samples": 2,
        "rewards": ["execution", "format", "length"],
        "skip_zero_variance": True,
        "max_steps": 10,
        "eval_strategy": "steps",
        "eval_steps": 3,
        "num_generations_eval": 2,
        "save_strategy": "steps",
        "save_steps": 3,
        "metric_for_best_model": "ex_greedy",
    }
    run_in_this_process(tmp_path / "whole", options)
    killed = tmp_path / "killed"
    kill_at(killed, 5, start(killed, options))
    before = rollouts(killed)
    assert "resuming from" in run_in_this_process(killed, options)
    aside = list(read_jsonl(killed / "rollouts" / "abandoned" / "rank-00000.jsonl"))
    assert {one["step"] for one in aside} >= {4, 5}
    assert len(aside) + sum(one["step"] <= 3 for one in before) == len(before)
    assert rollouts(killed) == rollouts(tmp_path / "whole")
    assert len(rollouts(killed)) == 10 * 8
    whole, resumed = history(tmp_path / "whole"), history(killed)
    assert list(resumed) == list(range(1, 11))
    for step, log in whole.items():
        for name in ("loss", "reward", "rewards/length_reward/mean", "grad_norm"):
            assert resumed[step][name] == pytest.approx(log[name], abs=1e-5), (step, name)
    assert any(log["loss"] for log in whole.values())


def kill_at(folder, step, training):
    """Kill -9 a training when it has rollouts of a step."""
    log = folder / "rollouts" / "rank-00000.jsonl"
    deadline = time.monotonic() + 900  # a busy machine takes minutes
    try:
        while not (log.exists() and f'"step": {step}' in log.read_text()):
            assert training.is_running(), training.finish()
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        training.kill()


def think(sql):
    return f"<think>\nwhy\n</think>\n<answer>\n{sql}\n</answer>"


@pytest.fixture(scope="module")
def given(tmp_path_factory, benchmarks):
    """The 732 rows of BIRD train and completions for each.

    Those of every other row are right, right without tags, wrong and broken; the others are equal.
    """
    folder = tmp_path_factory.mktemp("given")
    questions = read_benchmark("bird", benchmarks / "bird", "train")
    rows = [
        grpo_row(one, build_prompt(one, PromptSettings()).messages, Layout.THINK)
        for one in questions
    ]
    write_jsonl(folder / "rows.jsonl", rows)
    texts = {}
    for place, row in enumerate(rows):
        gold, wrong = row["gold_sql"], think("SELECT 1")
        broken = "SELECT FROM" + "x" * (place % 7)
        texts[row["id"]] = [think(gold), gold, wrong, broken] if place % 2 else [wrong] * 4
    write_json(folder / "completions.json", texts)
    return folder


def on_given(model, given, folder, size, run, start=None, **launch):
    """Six steps of one question each on the given completions.

    Args:
        run: runs the training.
        start: starts one before, which is killed; None: none.
        launch: accelerate's configuration.
    """
    options = {
        "model_name_or_path": str(model),
        "train_file": str(given / "rows.jsonl"),
        "completions": str(given / "completions.json"),
        "per_device_train_batch_size": size,
        "max_steps": 6,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    program = "tests/fixed_rollouts.py"
    if start:
        kill_at(folder, 6, start(folder, options, program=program, **launch))
    text = run(folder, options, program=program, **launch)
    assert "732 rows; left out: none" in text
    assert ("resuming from" in text) == bool(start)
    made = sorted((one["step"], one["id"], one["completion"]) for one in rollouts(folder))
    paid = {}
    for one in rollouts(folder):
        paid.setdefault(one["step"], []).append(sum(one["rewards"].values()))
    return history(folder), made, paid


@pytest.fixture(scope="module")
def alone(model, given, tmp_path_factory):
    """One process that is not interrupted."""
    folder = tmp_path_factory.mktemp("alone") / "one"
    logs, made, paid = on_given(model, given, folder, 4, run_in_this_process)
    assert {tuple(rewards) for rewards in paid.values()} == {(2, 1, 1, 0), (1, 1, 1, 1)}
    for step, rewards in paid.items():
        mean = 0.1 if rewards == [1] * 4 else (1.1 + 1.0 + 0.1) / 4
        assert logs[step]["reward"] == pytest.approx(mean)
    return logs, made


def test_two_ranks_do_as_one_process_does(model, given, alone, tmp_path):
    """Half a group on each rank. The rows are BIRD's train questions with their databases."""
    launch = "configs/accelerate/cpu_zero2.yaml"
    found = on_given(model, given, tmp_path / "zero2", 2, run_afresh, launch=launch)
    assert_same(found, alone)


def test_two_ranks_that_were_killed_do_so_too(model, given, alone, tmp_path, run, start):
    launch = "configs/accelerate/cpu_zero3.yaml"
    assert_same(on_given(model, given, tmp_path / "zero3", 2, run, start, launch=launch), alone)


def assert_same(found, alone):
    logs, made, _ = found
    expected, expected_rollouts = alone
    assert made == expected_rollouts
    for step, log in expected.items():
        for figure in ("loss", "grad_norm", "reward", "reward_std", "groups/zero_variance"):
            assert logs[step][figure] == pytest.approx(log[figure], rel=1e-3, abs=1e-5), step


HOSTILE = [
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "SELECT hex(randomblob(1000000000)) || hex(zeroblob(1000000000))",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, i, i FROM n",
    "DELETE FROM item",
    "ATTACH DATABASE 'shop.sqlite' AS x",
    "PRAGMA writable_schema = 1",
    "SELECT load_extension('libc.so.6')",
    "SELECT id FROM item",
]


def test_hostile_rollouts_cost_their_own_reward_and_nothing_else(model, shop, tmp_path, run):
    """The last query is right by coincidence; a suite refuses it, here with weight 0."""
    gold = "SELECT id FROM item WHERE id < 2"
    rows = write_rows(tmp_path / "rows.jsonl", shop, 1, gold=gold)
    write_json(tmp_path / "rows.jsonl.card.json", {"notes": "of a test"})
    make_suite(Task(shop, gold, tmp_path / "suites", seed=0))
    write_json(tmp_path / "suites" / "card.json", {})
    write_json(tmp_path / "completions.json", {"q0": [think(sql) for sql in HOSTILE]})
    before = fingerprint(shop)
    options = {
        "model_name_or_path": str(model),
        "train_file": str(rows),
        "completions": str(tmp_path / "completions.json"),
        "num_generations": len(HOSTILE),
        "rewards": ["execution", "format", "execution_suite"],
        "reward_weights": [1.0, 0.1, 0.0],
        "suites": str(tmp_path / "suites"),
        "report_to": "wandb,tensorboard,trackio",
        "project": "attacked",
        "log_completions": True,
        "max_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    text = run(tmp_path / "attacked", options, program="tests/fixed_rollouts.py")
    assert "0 of 1 rows have no suite" in text
    found = rollouts(tmp_path / "attacked")
    assert [one["rewards"]["execution"] for one in found] == ([0] * 7 + [1]) * 2
    assert [one["rewards"]["execution_suite"] for one in found] == [0] * 16
    assert [one["coincidence"] for one in found] == ([False] * 7 + [True]) * 2
    assert history(tmp_path / "attacked")[2]["watch/coincidence"] == 1
    assert [one["status"] for one in found[:3]] == ["timeout", "too_large", "too_large"]
    assert {one["status"] for one in found[3:7]} <= {"refused", "error"}
    # DELETE, ATTACH and PRAGMA are not queries, so those three answers do not have the format.
    assert history(tmp_path / "attacked")[2]["reward"] == pytest.approx(0.1 * 5 / 8 + 1 / 8)
    assert fingerprint(shop) == before
    assert_tracked(tmp_path)


def assert_tracked(folder):
    """All trackers have something without an account, two of them the samples as a table."""
    assert list(folder.rglob("events.out.tfevents*"))
    (log,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    (record,) = folder.glob("*/run.json")
    run_id = json.loads(record.read_text())["wandb_run_id"]
    assert log.name == f"run-{run_id}.wandb"
    assert f"rollouts-{run_id}".encode() in log.read_bytes()  # the artifact
    tables = folder.glob("wandb/offline-run-*/files/media/table/completions_*.table.json")
    expected = {"prompt", "completion", "execution_reward", "status", "sql", "id"}
    assert expected <= set(json.loads(next(tables).read_text())["columns"])
    for name in (b"data_card", b"of a test", b"data_hash"):  # in the run's configuration
        assert name in log.read_bytes()
    file = Path(os.environ["TRACKIO_DIR"]) / "attacked.db"  # tests/conftest.py sets it
    with closing(sqlite3.connect(file)) as connection:
        logs = [json.loads(text) for (text,) in connection.execute("SELECT metrics FROM metrics")]
        (config,) = connection.execute("SELECT config FROM configs").fetchone()
        artifacts = [name for (name,) in connection.execute("SELECT name FROM artifacts")]
    assert expected <= set(
        next(log["completions"]["_value"] for log in logs if "completions" in log)[0]
    )
    assert json.loads(config)["data_card"] == {"notes": "of a test"}
    assert json.loads(config)["run"]["arguments"]["max_steps"] == 2
    assert [name.startswith("rollouts-") for name in artifacts] == [True]


def test_the_program_of_trl_takes_our_rewards(model, shop, tmp_path):
    write_rows(tmp_path / "rows" / "train.jsonl", shop, 4)
    config = tmp_path / "trl.yaml"
    options = {
        **TINY,
        "model_name_or_path": str(model),
        "dataset_name": str(tmp_path / "rows"),
        "reward_funcs": ["rewards.execution_reward", "rewards.format_reward"],
        "output_dir": str(tmp_path / "trl"),
        "max_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
    }
    config.write_text(yaml.safe_dump(options))
    ended = subprocess.run(
        [Path(sys.executable).with_name("trl"), "grpo", "--config", config],
        cwd=ROOT,
        env={**variables(), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    log = history(tmp_path / "trl")[1]
    for name in ("execution_reward", "format_reward"):
        assert log[f"rewards/{name}/mean"] == 0  # a tiny model of random weights writes no SQL
    assert log["judge/faults"] == 0
