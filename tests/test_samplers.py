"""The samplers on a tiny model: what each gives, and that they agree."""

import json
import math
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from inference.samplers import Request, Sampling
from inference.samplers.local import TransformersSampler
from inference.samplers.options import SamplerOptions, SamplingOptions, sampling_for
from slmsql.errors import InputError
from slmsql.files import read_jsonl, write_jsonl
from tests.tiny_model import tiny_model

ROOT = Path(__file__).parent.parent
MESSAGES = [{"role": "user", "content": "How many singers are there?"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    # vLLM's attention on a CPU takes heads of 32 and more.
    return tiny_model(tmp_path_factory.mktemp("model"), hidden_size=128)


@pytest.fixture(scope="module")
def local(model):
    return TransformersSampler(SamplerOptions(model=str(model)))


def complete(sampler, n=3, seed=1, messages=MESSAGES, **settings):
    sampling = Sampling(**{"max_tokens": 16, **settings})
    sampler.submit(Request("q", messages, n, seed, sampling))
    (done,) = sampler.completed()
    assert sampler.completed() == []
    return done


def test_samples_depend_on_their_seed_alone(local):
    first, again = complete(local), complete(local)
    assert first == again
    assert len({sample.text for sample in first.samples}) == 3
    assert complete(local, seed=2) != first


def test_greedy_takes_the_likeliest(local):
    first = complete(local, n=1, temperature=0.0)
    assert first.samples == complete(local, n=1, seed=9, temperature=0.0).samples


def test_log_probabilities_are_those_of_a_random_model(local):
    found = complete(local, logprobs=True)
    vocabulary = local._model.config.vocab_size
    for sample in found.samples:
        assert -2 * math.log(vocabulary) < sample.logprob < 0
    assert complete(local).samples[0].logprob is None


def test_a_completion_is_as_long_as_allowed(local):
    assert {sample.tokens for sample in complete(local, max_tokens=5).samples} <= set(range(1, 6))


def test_a_stop_text_ends_a_completion_and_stays(local):
    letters = complete(local, max_tokens=40).samples[0].text
    stop = next(letter for letter in letters[3:] if letter.isascii() and letter.isalpha())
    for sample in complete(local, max_tokens=40, stop=(stop,)).samples:
        assert sample.text.count(stop) <= 1
        assert stop not in sample.text or sample.text.endswith(stop)


def test_a_prompt_that_is_too_long_says_so(model):
    sampler = TransformersSampler(SamplerOptions(model=str(model), max_model_len=10))
    done = complete(sampler)
    assert "the model takes 9" in done.error
    assert not done.temporary


def test_a_model_without_a_chat_template_is_refused(tmp_path, model):
    copy = tmp_path / "model"
    copy.mkdir()
    for file in model.iterdir():
        if file.name != "chat_template.jinja":
            (copy / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="has no chat template"):
        complete(TransformersSampler(SamplerOptions(model=str(copy))))


def test_greedy_means_one_sample():
    assert SamplingOptions(n=8, temperature=0.0).n == 1


def test_completions_end_with_the_answer_where_the_layout_has_one():
    assert sampling_for(SamplingOptions(), "think").stop == ("</answer>",)
    assert sampling_for(SamplingOptions(), "strict").stop == ()


@pytest.fixture
def questions(tmp_path, singers):
    texts = ["How many singers are there?", "Who is oldest?", "Which songs does Ann sing?"]
    file = tmp_path / "questions.jsonl"
    write_jsonl(
        file,
        ({"id": f"q{n}", "question": t, "database": str(singers)} for n, t in enumerate(texts)),
    )
    return file


def generate(questions, output, *words):
    command = [sys.executable, "inference/generate.py", "--questions", str(questions)]
    command += ["--max_tokens", "24", "--output", str(output), *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        [candidate.get("completion", "") for candidate in record["candidates"]]
        for record in read_jsonl(output)
    ]


@pytest.fixture
def server(model, tmp_path):
    """A real vLLM server on the processor."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    words = [
        *("--served-model-name", "tiny", "--dtype", "float32", "--enforce-eager"),
        *("--max-model-len", "4096", "--no-enable-chunked-prefill", "--port", str(port)),
    ]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with open(tmp_path / "server.log", "w") as log:
        process = subprocess.Popen(
            # Not `vllm serve`: that asks for a package named vllm, and ours may be vllm-cpu.
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, *words],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    yield url, process, tmp_path / "server.log"
    process.terminate()
    process.wait(timeout=60)


def wait_for(url, process, log):
    for _ in range(480):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


@pytest.mark.slow
def test_vllm_its_server_and_transformers_agree(tmp_path, model, questions, server):
    pytest.importorskip("vllm")
    greedy = ("--temperature", 0, "--max_model_len", 4096)
    here = ("--model", model)
    inside = generate(questions, tmp_path / "a.jsonl", *here, "--sampler", "vllm", *greedy)
    plain = generate(questions, tmp_path / "b.jsonl", *here, "--sampler", "transformers", *greedy)
    wait_for(*server)
    there = ("--model", "tiny", "--endpoints", server[0])
    served = generate(questions, tmp_path / "c.jsonl", *there, *greedy)
    assert inside == served
    assert inside == plain
    sampled = ("--n", 4, "--seed", 7)
    inside = generate(questions, tmp_path / "d.jsonl", *here, "--sampler", "vllm", *sampled)
    served = generate(questions, tmp_path / "e.jsonl", *there, *sampled)
    assert inside == served
    usage = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert all(record["tokens"] > 0 and record["prompt_tokens"] > 0 for record in usage)
