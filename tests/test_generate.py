"""Sampling of candidates: the order of the questions, and how vLLM is started."""

from inference import generate
from slmsql.cli.options import PromptOptions, QuestionOptions
from slmsql.consistency.options import RuleOptions
from slmsql.execution import create_database
from slmsql.files import read_jsonl, write_jsonl
from slmsql.sampling.options import PlanOptions, SamplerOptions
from slmsql.sampling.sampler import Completed, Sample
from slmsql.sampling.vllm_sampler import _engine_arguments
from slmsql.training.quick_start import QUICK_START


class OneByOne:
    """Answers in the order of the requests."""

    def __init__(self):
        self.asked = []
        self._waiting = []

    def submit(self, request):
        self.asked.append(request.messages[-1]["content"])
        self._waiting.append(request)

    def completed(self):
        done, self._waiting = self._waiting[:1], self._waiting[1:]
        return [Completed(request.key, [Sample("SELECT 1", 2)], 3) for request in done]

    def close(self):
        pass


def test_prompts_of_one_database_follow_each_other_and_the_output_keeps_its_order(tmp_path):
    rows = []
    for number in range(6):
        name = ("shop", "bank", "zoo")[number % 3]
        database = tmp_path / f"{name}.sqlite"
        if not database.exists():
            create_database(database, f"CREATE TABLE {name} (id INTEGER)")
        rows.append({"id": f"q{number}", "question": f"{number}?", "database": str(database)})
    write_jsonl(tmp_path / "questions.jsonl", rows)
    sampler = OneByOne()
    options = generate.Options(
        source=QuestionOptions(questions=str(tmp_path / "questions.jsonl")),
        prompt=PromptOptions(),
        plan=PlanOptions(n=1),
        sampler=SamplerOptions(model="model"),
        output=tmp_path / "candidates.jsonl",
        rules=RuleOptions(),
    )
    generate.run(options, lambda: sampler)
    tables = [next(t for t in ("shop", "bank", "zoo") if t in prompt) for prompt in sampler.asked]
    assert tables == ["shop", "shop", "bank", "bank", "zoo", "zoo"]
    written = [record["id"] for record in read_jsonl(tmp_path / "candidates.jsonl")]
    assert written == [f"q{number}" for number in range(6)]


def test_eager_starts_vllm_without_compiling(monkeypatch):
    monkeypatch.setattr("slmsql.sampling.vllm_sampler._has_gpu", lambda: True)
    for eager in (True, False):
        arguments = _engine_arguments(SamplerOptions(model="model", eager=eager))
        assert (arguments.get("compilation_config") == QUICK_START) is eager
