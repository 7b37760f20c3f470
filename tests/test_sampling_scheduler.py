"""Rounds, early stops and repairs, with a sampler that says what it is told to."""

import pytest

from slmsql.consistency.candidates import read_record
from slmsql.execution import Executor, Status
from slmsql.match import Match
from slmsql.questions.question import Question
from slmsql.sampling.sampler import Completed, Sample, seed_of
from slmsql.sampling.scheduler import SamplingPlan, Task, draw

MESSAGES = [{"role": "user", "content": "?"}]


class Scripted:
    """A sampler that answers by request key: `id/start/...` or `id/repair/place/...`."""

    def __init__(self, script):
        self.script = script
        self.requests = []
        self.waiting = []
        self.closed = False

    def submit(self, request):
        self.requests.append(request)
        self.waiting.append(request)

    def completed(self):
        if not self.waiting:
            return []
        request = self.waiting.pop(0)
        answer = self.script(request)
        if isinstance(answer, Completed):
            return [answer]
        assert len(answer) == request.n
        return [Completed(request.key, [Sample(text, 2) for text in answer], 10, 0.5)]

    def close(self):
        self.closed = True


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


@pytest.fixture
def drawn(singers, executor):
    def run(script, *, questions=1, sampler=Scripted, **plan):
        tasks = [
            Task(Question(f"q{n}", "?", "singers", singers), MESSAGES, SamplingPlan(**plan))
            for n in range(questions)
        ]
        sampler = sampler(script)
        return list(draw(tasks, sampler, executor)), sampler

    return run


def same(_request):
    return ["SELECT 1"] * _request.n


def different(request):
    start = int(request.key.split("/")[1])
    return [f"SELECT {start + n}" for n in range(request.n)]


def test_all_candidates_are_sampled_in_one_round_by_default(drawn):
    (question,), sampler = drawn(same, n=6)
    assert [request.n for request in sampler.requests] == [6]
    assert [candidate.status for candidate in question.candidate_set.candidates] == [Status.OK] * 6
    assert (question.prompt_tokens, question.tokens) == (10, 12)


def test_a_question_stops_when_its_vote_is_decided(drawn):
    (question,), sampler = drawn(same, n=16, round_size=2, confidence=0.9)
    assert question.as_record()["first_round"] == 2
    assert len(question.candidate_set.candidates) == 4  # 2 agree: 0.875, 4 agree: 0.97
    assert len(sampler.requests) == 2


def test_the_cost_of_a_question_is_that_of_its_rounds(drawn):
    (question,), _ = drawn(different, n=6, round_size=2)
    record = question.as_record()
    assert (record["prompt_tokens"], record["tokens"], record["seconds"]) == (30, 12, 1.5)


def test_a_question_continues_while_its_vote_is_undecided(drawn):
    (question,), _ = drawn(different, n=10, round_size=4, confidence=0.9)
    assert [candidate.sql for candidate in question.candidate_set.candidates] == [
        f"SELECT {n}" for n in range(10)
    ]


@pytest.mark.parametrize(("match", "count"), [(Match.BIRD, 4), (Match.STRICT, 8)])
def test_the_vote_that_stops_the_sampling_compares_as_the_match_mode_says(drawn, match, count):
    def script(request):
        ages = ("SELECT age FROM singer", "SELECT DISTINCT age FROM singer")  # the same set of rows
        return [ages[n % 2] for n in range(request.n)]

    plan = {"n": 8, "round_size": 2, "confidence": 0.9}
    (question,), _ = drawn(script, match=match, **plan)
    candidates = question.candidate_set.candidates
    assert len(candidates) == count
    assert len({candidate.digest for candidate in candidates}) == 1  # files have those of `bird`


def test_a_repaired_candidate_votes_in_the_match_mode_too(drawn):
    def script(request):
        if "repair" in request.key:
            return ["SELECT age FROM singer"]
        return ["SELECT nam FROM singer", "SELECT age FROM singer"]

    plan = {"n": 6, "round_size": 2, "confidence": 0.85, "repair": True}
    (question,), _ = drawn(script, match=Match.STRICT, **plan)
    assert len(question.candidate_set.candidates) == 2


def test_why_a_completion_ended_is_recorded(drawn):
    def script(request):
        samples = [Sample("SELECT 1", finish="stop"), Sample("SELECT", finish="length")]
        return Completed(request.key, samples)

    (question,), _ = drawn(script, n=2)
    candidates = question.as_record()["candidates"]
    assert [candidate["finish"] for candidate in candidates] == ["stop", "length"]
    read = read_record(question.as_record(), "there").candidates
    assert [candidate.finish for candidate in read] == ["stop", "length"]


def test_failures_do_not_end_a_question(drawn):
    (question,), _ = drawn(lambda request: ["SELEC"] * request.n, n=8, round_size=2, confidence=0.9)
    assert len(question.candidate_set.candidates) == 8


def test_rounds_sample_what_a_single_round_would(drawn):
    """The seed of a candidate depends on its question and place alone."""
    _, whole = drawn(different, n=8)
    _, rounds = drawn(different, n=8, round_size=3)
    seeds = [
        [request.seed + n for request in sampler.requests for n in range(request.n)]
        for sampler in (whole, rounds)
    ]
    assert seeds[0] == seeds[1]
    assert seed_of(0, "q0") != seed_of(0, "q1") != seed_of(1, "q0")


def test_every_question_is_returned_once(drawn):
    done, _ = drawn(different, questions=700, n=2)
    assert sorted(q.candidate_set.id for q in done) == sorted(f"q{n}" for n in range(700))


def test_a_candidate_that_fails_is_repaired_once(drawn):
    def script(request):
        if "repair" in request.key:
            return ["SELECT count(*) FROM singer"]
        return ["SELECT nam FROM singer", "SELECT 1"]

    (question,), sampler = drawn(script, n=2, repair=True)
    repair = sampler.requests[1]
    assert repair.messages[-2] == {"role": "assistant", "content": "SELECT nam FROM singer"}
    assert "no such column: nam" in repair.messages[-1]["content"]
    first, second = question.candidate_set.candidates
    assert (first.sql, first.repaired) == ("SELECT count(*) FROM singer", "SELECT nam FROM singer")
    assert (first.status, second.repaired) == (Status.OK, None)


def test_a_repair_that_fails_too_changes_nothing(drawn):
    (question,), sampler = drawn(lambda request: ["SELEC"] * request.n, n=2, repair=True)
    assert len(sampler.requests) == 3
    assert [candidate.repaired for candidate in question.candidate_set.candidates] == [None, None]


def test_a_completion_without_sql_is_not_repaired(drawn):
    (question,), sampler = drawn(lambda request: ["<think>hm"] * request.n, n=2, repair=True)
    assert len(sampler.requests) == 1
    assert question.candidate_set.candidates[0].sql is None


def test_a_prompt_that_is_too_long_is_a_failed_candidate(drawn):
    def script(request):
        return Completed(request.key, (), 9000, error="the prompt has 9000 tokens")

    (question,), _ = drawn(script, n=4, round_size=2)
    assert question.error is None
    (candidate,) = question.candidate_set.candidates
    assert (candidate.status, candidate.error) == (Status.ERROR, "the prompt has 9000 tokens")


def test_a_sampler_that_gives_up_is_an_error_and_not_a_candidate(drawn):
    def script(request):
        if request.key.startswith("q1/"):
            return Completed(request.key, (), error="server is gone", temporary=True)
        return same(request)

    done, _ = drawn(script, questions=3, n=2)
    failed = {question.candidate_set.id: question.error for question in done if question.error}
    assert failed == {"q1": "server is gone"}


def test_sql_keeps_its_lines_and_comments(drawn):
    text = "<think>\nx\n</think>\n<answer>\nSELECT 1 -- a; b\n, 2\n</answer>"
    (question,), _ = drawn(lambda request: [text], n=1)
    assert question.candidate_set.candidates[0].sql == "SELECT 1 -- a; b\n, 2"


def repaired(answer):
    """A script whose first candidate fails and whose repairs get this answer."""

    def script(request):
        if "repair" in request.key:
            return Completed(request.key, (), **answer)
        return ["SELECT nam FROM singer", *["SELECT 1"] * (request.n - 1)]

    return script


@pytest.mark.parametrize("temporary", [True, False])
def test_a_repair_that_the_sampler_refuses_costs_nothing_else(drawn, temporary):
    script = repaired({"error": "no", "temporary": temporary})
    (question,), _ = drawn(script, n=6, round_size=3, repair=True)
    assert (question.error, question.refusal) == (None, None)
    statuses = [candidate.status for candidate in question.candidate_set.candidates]
    assert statuses == [Status.ERROR, Status.OK, Status.OK] * 2


def test_a_database_that_breaks_is_the_error_of_its_question(drawn, singers):
    log = singers.with_name(singers.name + "-wal")

    def script(request):
        if request.key.startswith("q0/"):
            log.write_bytes(b"x")
        return same(request)

    (question,), _ = drawn(script, n=2)
    assert "has changes that are not in it yet" in question.error


def test_an_answer_to_another_draw_is_left_alone(drawn):
    class Stale(Scripted):
        def completed(self):
            return [Completed("q0/0/0", [Sample("SELECT 7")]), *super().completed()]

    (question,), _ = drawn(same, n=2, sampler=Stale)
    assert len(question.candidate_set.candidates) == 2
