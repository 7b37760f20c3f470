"""The sampler for GGUF files, with llama.cpp itself."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inference.sampling.endpoint_sampler import EndpointSampler
from inference.sampling.llama_cpp_sampler import SLOTS, LlamaCppSampler, start_server
from inference.sampling.loading import check_sampler, model_identity, open_sampler
from inference.sampling.options import SamplerOptions
from scripts import export_gguf
from slmsql.errors import InputError
from slmsql.prompt.build import read_template
from tests.sampling import complete
from tests.talking_model import talking_model

ROOT = Path(__file__).parent.parent
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    """A model that thinks a while, then says one of two queries."""
    root = tmp_path_factory.mktemp("talking")
    model = talking_model(root / "model", {"SELECT 1": 0.7, "SELECT 2": 0.3}, length=5)
    export_gguf.export(model, export_gguf.Options(model, root, ["f16"]), read_template("think"))
    return root / "model-f16.gguf"


@pytest.fixture(scope="module")
def sampler(gguf):
    opened = open_sampler(SamplerOptions(model=str(gguf)))
    yield opened
    opened.close()


def texts(completed):
    assert completed.error is None
    return [sample.text for sample in completed.samples]


@slow
def test_a_gguf_file_is_opened_with_llama_cpp(sampler):
    assert isinstance(sampler, LlamaCppSampler)


@slow
def test_samples_depend_on_their_seed_alone(sampler):
    settings = {"temperature": 1.0, "max_tokens": 60}
    together = texts(complete(sampler, n=2 * SLOTS + 1, seed=1, **settings))
    assert len(set(together)) > 2
    single = [texts(complete(sampler, n=1, seed=seed, **settings))[0] for seed in range(1, 4)]
    assert single == together[:3]


@slow
def test_answers_are_drawn_as_often_as_the_model_says(sampler):
    answers = texts(complete(sampler, n=200, temperature=1.0, max_tokens=100))
    assert 0.6 < sum("SELECT 1" in text for text in answers) / len(answers) < 0.8


@slow
def test_a_completion_keeps_its_stop_text_and_says_why_it_ended(sampler):
    (sample,) = complete(sampler, n=1, temperature=1.0, max_tokens=100, stop=("</answer>",)).samples
    assert sample.text.startswith("<think>hm")
    assert sample.text.endswith("</answer>")
    assert sample.finish == "stop"
    (cut,) = complete(sampler, n=1, temperature=1.0, max_tokens=2).samples
    assert (cut.tokens, cut.finish) == (2, "length")


@slow
def test_log_probabilities_are_those_of_the_model(sampler):
    from math import log

    completed = complete(sampler, n=20, temperature=1.0, max_tokens=60, logprobs=True)
    for sample in completed.samples:
        words = sample.text.count("hm")  # four of five go on, the fifth ends the thought
        if sample.finish == "stop":
            total = (
                (words - 1) * log(0.8) + log(0.2) + log(0.7 if "SELECT 1" in sample.text else 0.3)
            )
            assert sample.logprob == pytest.approx(total / sample.tokens, abs=0.02)


@slow
def test_a_prompt_that_is_too_long_is_a_final_error(gguf):
    sampler = LlamaCppSampler(SamplerOptions(model=str(gguf), max_model_len=256))
    completed = complete(sampler, messages=[{"role": "user", "content": "x y " * 500}])
    assert "exceeds the available context size (256 tokens)" in completed.error
    assert not completed.temporary
    assert texts(complete(sampler))  # the next request is answered
    sampler.close()


@slow
def test_the_server_answers_as_an_endpoint_too(gguf, sampler, monkeypatch):
    monkeypatch.setenv("LLAMA_KEY", "secret")
    server = start_server(SamplerOptions(model=str(gguf)), key="secret")
    options = SamplerOptions(model="m", endpoints=[server.listening_address], key_env="LLAMA_KEY")
    endpoint = EndpointSampler(options)
    settings = {"n": 3, "temperature": 1.0, "max_tokens": 60, "stop": ("</answer>",)}
    assert texts(complete(endpoint, **settings)) == texts(complete(sampler, **settings))
    endpoint.close()


@slow
def test_a_program_that_samples_can_be_ended(gguf):
    code = (
        "import sys, time; from inference.sampling.llama_cpp_sampler import start_server; "
        "from inference.sampling.options import SamplerOptions; "
        "server = start_server(SamplerOptions(model=sys.argv[1]), key='k'); "
        "print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(gguf)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=20) == -signal.SIGTERM


@slow
def test_generate_samples_from_a_gguf_file_and_refuses_another_one_at_the_same_output(
    gguf, singers, tmp_path
):
    questions = tmp_path / "questions.jsonl"
    questions.write_text(
        f'{{"id": "a", "question": "How many?", "db_id": "singers", "database": "{singers}"}}\n'
    )
    command = [
        *(sys.executable, "inference/generate.py", "--questions", questions, "--model", gguf),
        *("--databases", singers.parent.parent, "--output", tmp_path / "candidates.jsonl"),
        *("--n", "5"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "5 candidates of 1 questions" in done.stdout
    other = tmp_path / "other.gguf"
    other.write_bytes(gguf.read_bytes()[:-1] + b"?")
    assert model_identity(str(other)).split()[1] != model_identity(str(gguf)).split()[1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.gguf", None, "there is no GGUF file"),
        ("text.gguf", b"no model", "is not a GGUF file"),
    ],
)
def test_what_is_no_gguf_file_is_refused_before_anything_loads(name, content, message, tmp_path):
    file = tmp_path / name
    if content:
        file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        check_sampler(SamplerOptions(model=str(file)))


def test_an_adapter_is_refused(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"export_gguf\.py folds it in"):
        check_sampler(SamplerOptions(model=str(tmp_path / "m.gguf"), adapter="a"))


def test_a_file_that_llama_cpp_cannot_load_is_one_line(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF and nothing more")
    with pytest.raises(InputError, match=r"llama\.cpp cannot load .*m\.gguf"):
        open_sampler(SamplerOptions(model=str(tmp_path / "m.gguf")))
