"""The sampler for GGUF files, with llama.cpp itself."""

import json
import re
import signal
import subprocess
import sys
from math import log
from pathlib import Path

import pytest

from scripts import export_gguf
from scripts.bench.gbnf import GrammarReader, acceptance
from scripts.export.llama_cpp import LlamaVocabulary
from slmsql.errors import InputError
from slmsql.files import write_jsonl
from slmsql.grammar.ebnf import select_grammar
from slmsql.prompt.build import Layout, read_template
from slmsql.questions.source import read_source
from slmsql.sampling.endpoint_sampler import EndpointSampler
from slmsql.sampling.llama_cpp_sampler import SLOTS, LlamaCppSampler, start_server
from slmsql.sampling.loading import check_sampler, model_identity, open_sampler
from slmsql.sampling.options import SamplerOptions
from slmsql.schema.reading import read_schema
from tests.running_server import serve, stop
from tests.sampling import complete
from tests.talking_model import talking_model

ROOT = Path(__file__).parent.parent
COUNT, OLDEST = "SELECT count(*) FROM singer", "SELECT max(age) FROM singer"
INVENTED = "SELECT stage_name FROM singer"  # there is no such column
CHANCES = {COUNT: 0.4, OLDEST: 0.4, INVENTED: 0.2}
CONSTRAINED = {"n": 12, "temperature": 1.0, "max_tokens": 60, "constrain": Layout.THINK}
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("talking")


def exported(folder, name, answers):
    """A GGUF file of a model that thinks a while, then gives one of the answers."""
    model = talking_model(folder / name, answers, length=5)
    export_gguf.export(model, export_gguf.Options(model, folder, ["f16"]), read_template("think"))
    return folder / f"{name}-f16.gguf"


@pytest.fixture(scope="module")
def gguf(folder):
    return exported(folder, "generator", CHANCES)


@pytest.fixture(scope="module")
def merge_gguf(folder):
    return exported(folder, "merge", {COUNT: 1.0})


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
    for sql, chance in CHANCES.items():
        assert abs(sum(sql in text for text in answers) / len(answers) - chance) < 0.1


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
    completed = complete(sampler, n=20, temperature=1.0, max_tokens=60, logprobs=True)
    for sample in completed.samples:
        words = sample.text.count("hm")  # four of five go on, the fifth ends the thought
        if sample.finish == "stop":
            (chance,) = (chance for sql, chance in CHANCES.items() if sql in sample.text)
            total = (words - 1) * log(0.8) + log(0.2) + log(chance)
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
def test_the_server_answers_as_an_endpoint_too(gguf, sampler, singers, monkeypatch):
    monkeypatch.setenv("LLAMA_KEY", "secret")
    server = start_server(SamplerOptions(model=str(gguf)), key="secret")
    options = SamplerOptions(model="m", endpoints=[server.listening_address], key_env="LLAMA_KEY")
    endpoint = EndpointSampler(options)
    settings = {"n": 3, "temperature": 1.0, "max_tokens": 60, "stop": ("</answer>",)}
    assert texts(complete(endpoint, **settings)) == texts(complete(sampler, **settings))
    asked = {**CONSTRAINED, "stop": ("</answer>",), "database": singers}
    assert texts(complete(endpoint, **asked)) == texts(complete(sampler, **asked))
    endpoint.close()


@slow
def test_a_program_that_samples_can_be_ended(gguf):
    code = (
        "import sys, time; from slmsql.sampling.llama_cpp_sampler import start_server; "
        "from slmsql.sampling.options import SamplerOptions; "
        "server = start_server(SamplerOptions(model=sys.argv[1]), key='k'); "
        "print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(gguf)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=20) == -signal.SIGTERM


@slow
def test_constrained_samples_name_only_what_the_database_has(sampler, singers):
    free = CONSTRAINED | {"constrain": None}
    assert any(INVENTED in text for text in texts(complete(sampler, **free)))
    named = texts(complete(sampler, database=singers, **CONSTRAINED))
    assert {sql for sql in CHANCES for text in named if sql in text} == {COUNT, OLDEST}
    assert all(text.startswith("<think>hm") for text in named)


@slow
def test_a_completion_of_sql_alone_begins_with_a_query(sampler, singers):
    settings = CONSTRAINED | {"constrain": Layout.SQL, "max_tokens": 8}
    for text in texts(complete(sampler, database=singers, **settings)):
        assert re.match(r"\s*(--|/\*|select|with|$)", text, re.IGNORECASE), text


@pytest.fixture(scope="module")
def vocabulary(gguf):
    with LlamaVocabulary(gguf) as opened:
        yield opened


@slow
@pytest.mark.parametrize(
    ("sql", "accepted"),
    [
        ("select NAME from [Singer] where `age` > 3 order by name", True),
        ("SELECT T1.title FROM song AS T1", True),
        ('SELECT s."title" FROM "song" s WHERE title = "Hello"', True),
        ("SELECT name FROM singers", False),
        ("SELECT stage_name FROM singer", False),
        ("SELECT T1.stage_name FROM singer AS T1", False),
        ("DELETE FROM singer", False),
        ("SELECT name FROM", False),
    ],
)
def test_llama_cpp_accepts_names_of_the_database_alone(vocabulary, singers, sql, accepted):
    schema = read_schema(singers, sample_values=0)
    reader = GrammarReader(vocabulary, select_grammar(schema, Layout.SQL))
    assert reader.accepts(sql) is accepted
    reader.close()


@slow
def test_llama_cpp_accepts_the_gold_queries_of_spider(vocabulary, benchmarks):
    spider = benchmarks / "spider"
    questions = read_source(str(spider / "dev.json"), str(spider / "database"))[::40]
    statements = sorted({(q.database, q.gold_sql) for q in questions if q.database.is_file()})
    count = len(statements)
    assert count > 15
    assert acceptance(vocabulary, statements, 5).startswith(f"{count} of {count} accepted")


@slow
def test_what_cannot_be_constrained_is_sampled_freely_and_counted(
    sampler, singers, tmp_path, capsys
):
    broken = tmp_path / "broken.sqlite"
    broken.write_text("no database")
    for database in (None, tmp_path / "missing.sqlite", broken):
        named = texts(complete(sampler, database=database, **CONSTRAINED))
        assert any(INVENTED in text for text in named)
    sampler._unconstrained.report()
    warning = capsys.readouterr().err
    assert warning.startswith("3 requests were sampled without --constrain")
    assert warning.count("\n") == 1


@pytest.fixture
def questions(singers, tmp_path):
    file = tmp_path / "questions.jsonl"
    about = {"question": "How many singers?", "database": str(singers), "gold_sql": COUNT}
    write_jsonl(file, [{"id": f"q{number}", **about} for number in range(4)])
    return file


@slow
def test_benchmark_runs_csc_with_two_gguf_files_and_keeps_to_the_database(
    gguf, merge_gguf, questions, tmp_path
):
    run = tmp_path / "run"
    command = [
        *(sys.executable, "scripts/benchmark.py", "--model", gguf, "--merge_model", merge_gguf),
        *("--questions", questions, "--output", run, "--n", "6", "--constrain", "schema"),
        *("--max_tokens", "100", "--merge_n", "2", "--workers", "1"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    candidates = [json.loads(line) for line in (run / "candidates.jsonl").open()]
    sql = {candidate["sql"] for record in candidates for candidate in record["candidates"]}
    assert sql == {COUNT, OLDEST}
    summary = json.loads((run / "summary.json").read_text())
    assert summary["revised"]["execution_accuracy"] == 100.0
    assert "inference/revise.py" in done.stdout


@slow
def test_serve_answers_from_a_gguf_file(gguf, singers):
    process, client = serve(singers.parent, "--model", str(gguf), "--constrain", "schema")
    reply = client.post("/api/ask", json={"question": "How many?", "database": "singers"}).json()
    assert (reply["sql"], reply["rows"]) in ((COUNT, [[3]]), (OLDEST, [[30]]))
    assert reply["status"] == "ok"
    client.close()
    stop(process)


def test_a_changed_file_is_another_model(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF, one")
    before = model_identity(str(file))
    file.write_bytes(b"GGUF, two")
    assert model_identity(str(file)) != before


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
