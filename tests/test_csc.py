"""The one command with two real models in vLLM: killed in each stage, and in shards."""

import json
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from inference import generate
from slmsql.cli.config import parse
from slmsql.execution import create_database
from slmsql.files import read_jsonl, write_jsonl
from slmsql.sampling.loading import sampler_when_needed
from tests.talking_model import talking_model
from tests.warm_programs import call

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs vllm"),
]
ROOT = Path(__file__).parent.parent
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
SAMPLING = ("--n", 4, "--max_tokens", 600, "--max_model_len", 1536, "--seed", 3, "--workers", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models, a database and questions whose right answer is 2."""
    folder = tmp_path_factory.mktemp("csc")
    unsure = {"SELECT 1": 0.45, "SELECT 2": 0.45, "SELEC": 0.1}
    talking_model(folder / "generator", unsure)
    talking_model(folder / "merger", {"SELECT 1": 0.05, "SELECT 2": 0.95})
    create_database(folder / "d.sqlite", "CREATE TABLE t (a INTEGER)")
    about = {"question": "How many?", "database": str(folder / "d.sqlite"), "gold_sql": "SELECT 2"}
    write_jsonl(folder / "questions.jsonl", [{"id": f"q{n}", **about} for n in range(10)])
    return folder


def arguments(folder, *words):
    first = ("--model", folder / "generator", "--sampler", "vllm")
    return [
        str(word) for word in (*first, "--questions", folder / "questions.jsonl", *SAMPLING, *words)
    ]


def start(folder, *words):
    with open(folder / "log", "w") as log:
        return subprocess.Popen(
            [sys.executable, "inference/csc.py", *arguments(folder, *words)],
            cwd=ROOT, env=os.environ | ENVIRONMENT, stdout=log, stderr=log,
        )  # fmt: skip


def finished(process, folder):
    code = process.wait(timeout=900)
    text = (folder / "log").read_text()
    assert code == 0, text[-3000:]
    return text


def killed(process, folder, file):
    """Kill the command once two questions are done, and with it its stage; what is on disk."""
    until = time.monotonic() + 900
    while not file.exists() or file.read_bytes().count(b"\n") < 2:
        time.sleep(0.002)
        assert process.poll() is None, (folder / "log").read_text()[-3000:]
        assert time.monotonic() < until
    process.kill()
    process.wait()
    lines = file.read_text().split("\n")[:-1]
    assert len(lines) < 10, "it was done before the kill"
    return {record["id"]: record for record in map(json.loads, lines)}


def generate_all(commands):
    """Commands of generate.py one after the other, in a process that loads their model once."""
    os.environ.update(ENVIRONMENT)
    every = [parse(generate.Options, about=None, argv=words) for words in commands]
    with sampler_when_needed(every[0].sampler) as sampler:
        for options in every:
            generate.run(options, sampler)


def by_id(file):
    return {record["id"]: record for record in read_jsonl(file)}


@pytest.fixture(scope="module")
def resumed(folder):
    """A run that was killed in each stage: its folder, what each kill left, and its last words."""
    run = folder / "run"
    words = (folder, "--output", run, "--merge_model", folder / "merger", "--merge_n", 4)
    words += ("--merge_max_tokens", 600, "--json", folder / "figures.json")
    sampled = killed(start(*words), folder, run / "candidates.jsonl.partial")
    revised = killed(start(*words), folder, run / "revisions.jsonl.partial")
    return run, sampled, revised, finished(start(*words), folder)


def test_a_kill_in_each_stage_resumes_without_sampling_again(resumed):
    run, sampled, revised, said = resumed
    candidates, revisions = by_id(run / "candidates.jsonl"), by_id(run / "revisions.jsonl")
    # Sampled again, a question would have taken other seconds.
    assert {name: candidates[name] for name in sampled} == sampled
    assert {name: revisions[name] for name in revised} == revised
    assert list(candidates) == [f"q{n}" for n in range(10)]
    assert "10 questions, nothing left to do" in said


def test_each_model_is_loaded_once_by_a_program_of_its_own(resumed):
    *_, said = resumed
    started = re.findall(r"inference/(\w+)\.py .*?--model=\S*/(\w+)", said)
    assert started == [("generate", "generator"), ("revise", "merger")]


def test_a_better_merge_model_raises_accuracy(resumed, folder):
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["n"] == 10
    assert figures["vote"] < figures["corrective"]
    assert figures["broken"] == 0


def test_two_shards_joined_equal_one_run(resumed, folder, warm):
    shards = [folder / f"shard{number}.jsonl" for number in range(2)]
    commands = [
        arguments(folder, "--shard", f"{number}/2", "--output", shard)
        for number, shard in enumerate(shards)
    ]
    call(warm, folder, generate_all, commands)
    joined = folder / "joined.jsonl"
    command = ["inference/join.py", "--candidates", *shards, "--output", joined]
    command += ["--questions", folder / "questions.jsonl"]
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True)
    whole = by_id(resumed[0] / "candidates.jsonl")
    assert list(by_id(joined)) == list(whole)
    for name, record in by_id(joined).items():
        assert record | {"seconds": 0} == whole[name] | {"seconds": 0}
