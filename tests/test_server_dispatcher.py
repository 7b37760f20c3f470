"""The dispatcher outlives its questions, their databases and a sampler that raises."""

import pytest

from slmsql.errors import InputError
from slmsql.execution import Executor
from slmsql.questions.question import Question
from slmsql.sampling.sampler import Completed, Sample
from slmsql.sampling.scheduler import SamplingPlan, Task
from slmsql.server.dispatcher import Dispatcher


class Scripted:
    """Answers each request; before that, calls `meanwhile` with it."""

    def __init__(self, meanwhile):
        self.meanwhile = meanwhile
        self.requests = []

    def submit(self, request):
        self.requests.append(request)

    def completed(self):
        if not self.requests:
            return []
        self.meanwhile(self.requests[0])
        request = self.requests.pop(0)
        return [Completed(request.key, [Sample("SELECT 1")] * request.n)]

    def close(self):
        pass


@pytest.fixture
def dispatch():
    started = []
    executor = Executor(workers=1)

    def start(meanwhile):
        started.append(Dispatcher(Scripted(meanwhile), executor))
        return started[-1]

    yield start
    for dispatcher in started:
        dispatcher.close()
    executor.close()


def ask(dispatcher, database, identity="q"):
    question = Question(identity, "?", "singers", database)
    return dispatcher.ask(Task(question, [], SamplingPlan(n=2))).result(timeout=30)


def test_a_log_that_appears_during_sampling_fails_one_question(dispatch, singers):
    log = singers.with_name(singers.name + "-wal")

    def meanwhile(request):
        if request.key.startswith("bad/"):
            log.write_bytes(b"x")

    dispatcher = dispatch(meanwhile)
    failed = ask(dispatcher, singers, "bad")
    assert "has changes that are not in it yet" in failed.error
    assert isinstance(failed.cause, InputError)
    log.unlink()
    assert ask(dispatcher, singers).error is None
    assert dispatcher.is_alive


def test_a_database_that_disappears_fails_one_question(dispatch, singers, tmp_path):
    dispatcher = dispatch(lambda request: None)
    futures = [
        dispatcher.ask(Task(Question(f"q{n}", "?", "s", path), [], SamplingPlan(n=2)))
        for n, path in enumerate([singers, tmp_path / "gone.sqlite", singers])
    ]
    assert [bool(future.result(timeout=30).error) for future in futures] == [False, True, False]


def test_a_sampler_that_raises_fails_the_questions_under_way_and_goes_on(dispatch, singers):
    def meanwhile(request):
        if request.key.startswith("bad/"):
            raise ValueError("out of memory")

    dispatcher = dispatch(meanwhile)
    with pytest.raises(RuntimeError, match="the sampler failed: out of memory"):
        ask(dispatcher, singers, "bad")
    assert not dispatcher.is_alive  # until it answers again
    dispatcher._sampler.requests.pop()  # the request at fault; a late answer would do no harm
    assert ask(dispatcher, singers).error is None
    assert dispatcher.is_alive
