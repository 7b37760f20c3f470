"""What is recorded, what is asked again, and which errors end a run."""

import pytest

from slmsql.errors import InputError
from slmsql.execution import Executor
from slmsql.questions.question import Question
from slmsql.sampling.journal import Journal
from slmsql.sampling.recording import record_missing
from slmsql.sampling.sampler import Completed, Sample
from slmsql.sampling.scheduler import SamplingPlan, Task


class Scripted:
    """Answers by question id: an error of a request, or nothing for SQL that runs."""

    def __init__(self, errors):
        self.errors = errors
        self.asked = []
        self.waiting = []

    def submit(self, request):
        self.waiting.append(request)
        self.asked.append(request.key.split("/")[0])

    def completed(self):
        if not self.waiting:
            return []
        request = self.waiting.pop(0)
        if error := self.errors.get(request.key.split("/")[0]):
            return [Completed(request.key, (), **error)]
        return [Completed(request.key, [Sample("SELECT 1")] * request.n)]

    def close(self):
        pass


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


@pytest.fixture
def record(tmp_path, singers, executor):
    """Record ten questions with a sampler that fails as `errors` says."""
    wanted = {f"q{n}": Question(f"q{n}", "?", "singers", singers) for n in range(10)}

    def run(errors):
        sampler = Scripted(errors)
        with Journal(tmp_path / "out.jsonl", {}) as journal:
            record_missing(
                "test",
                wanted,
                lambda missing: (Task(question, [], SamplingPlan(n=2)) for question in missing),
                lambda: sampler,
                executor,
                journal,
            )
        return sampler.asked, tmp_path / "out.jsonl"

    return run


TOO_LONG = {"error": "the prompt has 9000 tokens"}
DOWN = {"error": "status 500", "temporary": True}


def test_prompts_that_are_too_long_are_counted(record, capsys):
    _, output = record({"q3": TOO_LONG, "q5": TOO_LONG})
    assert "2 of 10 prompts are too long or were refused" in capsys.readouterr().err
    assert output.read_text().count('"refused": "the prompt has 9000 tokens"') == 2


def test_a_run_whose_prompts_are_all_too_long_fails_and_can_be_repeated(record):
    with pytest.raises(InputError, match="the model refuses every prompt: the prompt has 9000"):
        record({f"q{n}": TOO_LONG for n in range(10)})
    asked, output = record({})
    assert len(asked) == 10
    assert output.exists()


def test_a_refused_question_does_not_block_the_run(record):
    with pytest.raises(InputError, match="1 questions got no answer"):
        record({"q0": {"error": "content filter"}, "q1": DOWN})
    asked, output = record({})
    assert asked == ["q1"]
    assert len(output.read_text().splitlines()) == 10


def test_an_error_that_others_would_meet_too_ends_the_run(record):
    fatal = {"error": "status 401: wrong key", "temporary": True, "fatal": True}
    with pytest.raises(InputError, match=r"10 questions got no answer.*\(status 401: wrong key\)"):
        record({f"q{n}": fatal for n in range(10)})
    assert len(record({})[0]) == 10
