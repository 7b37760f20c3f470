"""The samplers on a tiny model: what each gives, and that they agree."""

import math
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import httpx
import pytest
import torch

from inference import csc, generate
from slmsql.cli.config import parse
from slmsql.errors import InputError
from slmsql.files import read_jsonl, write_jsonl
from slmsql.grammar.masks import Masks
from slmsql.grammar.names import Names
from slmsql.grammar.vocabulary import Vocabulary
from slmsql.prompt.build import Layout
from slmsql.sampling.endpoint_sampler import EndpointSampler
from slmsql.sampling.options import SamplerOptions, SamplingOptions, sampling_params
from slmsql.sampling.prompt_ids import prompt_tokens
from slmsql.sampling.sampler import Request, SamplingParams
from slmsql.sampling.transformers_sampler import TransformersSampler, _end_tokens
from slmsql.schema.reading import read_schema
from slmsql.training.weight_sync import TEXT, engine_logprobs
from tests.tiny_model import tiny_model
from tests.warm_programs import call

pytestmark = pytest.mark.slow  # loads models
MESSAGES = [{"role": "user", "content": "How many singers are there?"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    # vLLM's attention on a CPU takes heads of 32 and more.
    return tiny_model(tmp_path_factory.mktemp("model"), hidden_size=128)


@pytest.fixture(scope="module")
def local(model):
    return TransformersSampler(SamplerOptions(model=str(model)))


def complete(sampler, n=3, seed=1, messages=MESSAGES, **settings):
    sampling = SamplingParams(**{"max_tokens": 16, **settings})
    sampler.submit(Request("q", messages, n, seed, sampling))
    (done,) = sampler.completed()
    assert sampler.completed() == []
    return done


def test_samples_depend_on_their_seed_alone(local):
    first, again = complete(local).samples, complete(local).samples
    assert first == again
    assert len({sample.text for sample in first}) == 3
    assert complete(local, seed=2).samples != first


def test_samples_do_not_depend_on_the_size_of_a_round(local):
    together = [sample.text for sample in complete(local, n=4, top_p=0.9).samples]
    rounds = [complete(local, n=2, seed=seed, top_p=0.9).samples for seed in (1, 3)]
    assert [sample.text for samples in rounds for sample in samples] == together


def test_tokens_are_drawn_as_often_as_the_model_says(local):
    ids = torch.tensor([prompt_tokens(local._tokenizer, MESSAGES)])
    with torch.inference_mode():
        logits = local._model(ids).logits[0, -1].float()
    logprobs, chances = logits.log_softmax(-1), (logits / 0.2).softmax(-1)
    done = complete(local, n=1000, max_tokens=1, temperature=0.2, logprobs=True)
    for token in chances.topk(3).indices:
        count = sum(abs(s.logprob - float(logprobs[token])) < 1e-4 for s in done.samples)
        assert count / 1000 == pytest.approx(float(chances[token]), abs=0.05)
    assert float(chances.max()) > 0.15  # otherwise the test would show nothing


def test_greedy_takes_the_likeliest(local):
    first = complete(local, n=1, temperature=0.0)
    assert first.samples == complete(local, n=1, seed=9, temperature=0.0).samples


def test_log_probabilities_are_those_of_a_random_model(local):
    done = complete(local, logprobs=True)
    vocabulary = local._model.config.vocab_size
    for sample in done.samples:
        assert -2 * math.log(vocabulary) < sample.logprob < 0
    assert complete(local).samples[0].logprob is None


def test_a_completion_has_at_most_max_tokens(local):
    samples = complete(local, max_tokens=5).samples
    assert {sample.tokens for sample in samples} <= set(range(1, 6))
    cut = [sample.tokens == 5 for sample in samples]
    assert any(cut)
    assert [sample.finish == "length" for sample in samples] == cut


def test_a_completion_that_ends_itself_is_not_cut(local):
    letters = complete(local, n=1, max_tokens=40).samples[0].text
    (sample,) = complete(local, n=1, max_tokens=40, stop=(letters[5:8],)).samples
    assert (sample.text, sample.finish) == (letters[:8], "stop")


def test_each_of_several_end_tokens_ends_a_completion(model):
    sampler = TransformersSampler(SamplerOptions(model=str(model)))
    second = complete(sampler, n=1, max_tokens=2, temperature=0.0).samples[0].text
    ids = sampler._tokenizer.encode(second)
    config = sampler._model.generation_config
    config.eos_token_id = [sampler._tokenizer.eos_token_id, ids[-1]]
    sampler._ends = _end_tokens(sampler._tokenizer, config)
    (sample,) = complete(sampler, n=1, max_tokens=9, temperature=0.0).samples
    assert (sample.tokens <= 2, sample.finish) == (True, "stop")


def test_a_completion_ends_with_its_stop_text(local):
    letters = complete(local, max_tokens=40).samples[0].text
    stop = next(letter for letter in letters[3:] if letter.isascii() and letter.isalpha())
    for sample in complete(local, max_tokens=40, stop=(stop,)).samples:
        assert sample.text.count(stop) <= 1
        assert stop not in sample.text or sample.text.endswith(stop)


def test_a_prompt_that_is_too_long_is_an_error(model):
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


def test_completions_stop_at_the_end_of_the_answer_if_the_layout_has_one():
    assert sampling_params(SamplingOptions(), "think").stop == ("</answer>",)
    assert sampling_params(SamplingOptions(), "strict").stop == ()


QUESTIONS = ("How many singers are there?", "Who is oldest?", "Which songs does Ann sing?")
GREEDY = SamplingParams(temperature=0.0, max_tokens=24)
DRAWN = SamplingParams(temperature=0.8, max_tokens=24)
# Each of several engines would bind its threads to the same processors.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # a server's worker would import everything once more
    "VLLM_NO_USAGE_STATS": "1",
}


def requests(sampling, n):
    return [
        Request(f"q{number}", [{"role": "user", "content": text}], n, 7 + number, sampling)
        for number, text in enumerate(QUESTIONS)
    ]


def answers(sampler, asked):
    """Each request completed, all of them under way at once."""
    for request in asked:
        sampler.submit(request)
    done = {}
    while len(done) < len(asked):
        done |= {completed.key: completed for completed in sampler.completed()}
    assert not [completed.error for completed in done.values() if completed.error]
    return done


def texts(sampler, asked):
    """The completions of each request."""
    return {
        key: [sample.text for sample in completed.samples]
        for key, completed in answers(sampler, asked).items()
    }


def constrained(n, database):
    sampling = SamplingParams(temperature=1.0, max_tokens=40, constrain=Layout.SQL)
    return [Request("constrained", MESSAGES, n, 3, sampling, database)]


def assert_prefixes_of_statements(completions, database):
    """Each completion is the beginning of a statement over the database, or a whole one."""
    masks = Masks(Names.of(read_schema(database)).as_bytes(), Vocabulary([]), in_answer=False)
    for text in completions:
        assert masks.read(masks.binding.start, text.encode().decode("latin-1")) is not None, text


def test_constrained_samples_name_only_what_the_database_has(local, singers):
    (completions,) = texts(local, constrained(6, singers)).values()
    assert len(set(completions)) == 6
    assert_prefixes_of_statements(completions, singers)


def test_what_cannot_be_constrained_is_sampled_freely_and_counted(local, tmp_path, capsys):
    free = SamplingParams(temperature=1.0, max_tokens=40)
    asked = constrained(2, tmp_path / "missing.sqlite")
    (completions,) = texts(local, asked).values()
    (freely,) = texts(local, [replace(asked[0], sampling=free)]).values()
    assert completions == freely
    local._unconstrained.report()
    assert capsys.readouterr().err.startswith("1 requests were sampled without --constrain")


def texts_of_vllm(model, *batches):
    """In a process of its own: vLLM keeps threads and memory after its engine is gone."""
    from slmsql.sampling.vllm_sampler import VllmSampler

    os.environ.update(ENVIRONMENT)
    sampler = VllmSampler(SamplerOptions(model=str(model), max_model_len=1024))
    completions = [texts(sampler, asked) for asked in batches]
    start = time.monotonic()
    waiting = answers(sampler, requests(SamplingParams(max_tokens=12), 150))  # 256 run at once
    seconds = time.monotonic() - start
    sampler.close()
    return *completions, waiting, seconds


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    """A real vLLM server on the processor."""
    if find_spec("vllm") is None:
        pytest.skip("needs vllm")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    words = [
        *("--served-model-name", "tiny", "--dtype", "float32", "--enforce-eager"),
        *("--max-model-len", "1024", "--no-enable-chunked-prefill", "--port", str(port)),
    ]
    log_file = tmp_path_factory.mktemp("server") / "server.log"
    with open(log_file, "w") as log:
        process = subprocess.Popen(
            # Not `vllm serve`: that asks for a package named vllm, and ours may be vllm-cpu.
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, *words],
            env=os.environ | ENVIRONMENT, stdout=log, stderr=log,
        )  # fmt: skip
    yield f"http://127.0.0.1:{port}", process, log_file
    process.terminate()
    process.wait(timeout=120)


def wait_for(url, process, log):
    """Ten minutes: it starts in one, on a machine that does nothing else."""
    for _ in range(1200):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(f"{url}/health", timeout=30).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


def test_vllm_its_server_and_transformers_agree(model, local, server, singers, warm, tmp_path):
    greedy, drawn = requests(GREEDY, 1), requests(DRAWN, 4)
    batches = (greedy, drawn, drawn[1:2], drawn, constrained(6, singers))
    inside, inside_drawn, alone, again, named, waiting, seconds = call(
        warm, tmp_path, texts_of_vllm, model, *batches
    )
    assert_prefixes_of_statements(named["constrained"], singers)
    assert 0 < waiting["q2"].seconds < 0.9 * seconds  # most of its samples waited for the others'
    assert {(s.finish, s.tokens == 12) for s in waiting["q2"].samples} <= {
        ("length", True),
        ("stop", False),
        ("stop", True),
    }
    wait_for(*server)
    there = EndpointSampler(SamplerOptions(model="tiny", endpoints=[server[0]]))
    assert texts(there, greedy) == inside == texts(local, greedy)
    assert texts(there, drawn) == texts(there, drawn)
    assert again == inside_drawn
    # The same seed gives the same samples whatever else is in the batch.
    assert alone == {key: inside_drawn[key] for key in alone}
    (completions,) = texts(there, constrained(3, singers)).values()
    assert not [text for text in completions if not re.match(r"\s*(--|/\*|[sSwW]|$)", text)]
    assert {len(set(completions)) for completions in inside_drawn.values()} == {4}
    there.submit(greedy[0])
    while not (done := there.completed()):
        pass
    assert done[0].prompt_tokens > 0
    assert done[0].samples[0].tokens > 0
    assert done[0].seconds > 0
    there.close()


def test_programs_that_come_one_after_the_other_share_a_warm_server(server, singers, tmp_path):
    wait_for(*server)
    questions = tmp_path / "questions.jsonl"
    rows = [{"id": f"q{n}", "question": QUESTIONS[n], "database": str(singers)} for n in range(3)]
    write_jsonl(questions, rows)
    words = f"--model tiny --endpoints {server[0]} --questions {questions} --max_tokens 12 --n 2"
    candidates = tmp_path / "candidates.jsonl"
    for program, options, output in (
        (generate.main, generate.Options, candidates),
        (csc.run, csc.Options, tmp_path / "csc"),
    ):
        program(parse(options, about="", argv=[*words.split(), "--output", str(output)]))
    alone, within = read_jsonl(candidates), read_jsonl(tmp_path / "csc" / "candidates.jsonl")
    for first, second in zip(alone, within, strict=True):
        assert [c["completion"] for c in first["candidates"]] == [
            c["completion"] for c in second["candidates"]
        ]
    predictions = list(read_jsonl(tmp_path / "csc" / "predictions.jsonl"))
    assert [prediction["id"] for prediction in predictions] == ["q0", "q1", "q2"]


def test_a_server_scores_the_text_of_the_trainers_check_as_the_model_does(server, local):
    """The half of the check that runs without a GPU: sending weights to a server needs NCCL."""
    from trl.generation.vllm_client import VLLMClient  # it imports vLLM

    wait_for(*server)
    ids = local._tokenizer.encode(TEXT, add_special_tokens=False)
    generation = SimpleNamespace(
        mode="server",
        vllm_client=VLLMClient(base_url=server[0], connection_timeout=60),
        accelerator=SimpleNamespace(is_main_process=True),
    )
    found = engine_logprobs(generation, ids)
    with torch.inference_mode():
        logits = local._model(torch.tensor([ids])).logits[0, :-1].float()
    expected = logits.log_softmax(-1).gather(1, torch.tensor(ids)[1:, None])[:, 0].tolist()
    assert found == pytest.approx(expected, abs=1e-3)
