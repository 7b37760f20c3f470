"""Which candidates and predictions are right."""

from dataclasses import replace

from slmsql.consistency.candidates import Candidate, CandidateSet
from slmsql.consistency.judging import judge_candidates, judge_predictions
from slmsql.consistency.prediction import Prediction
from slmsql.evaluation import evaluate
from slmsql.execution import Execution, Executor, Pair, Status
from slmsql.execution.types import INFRASTRUCTURE
from slmsql.match import Match
from slmsql.questions.question import Question

COUNT = "SELECT count(*) FROM singer"


def candidate_set(identity, database, *queries):
    return CandidateSet(identity, "singers", database, tuple(Candidate(sql) for sql in queries))


def test_each_candidate_has_its_verdict(singers):
    sets = [
        candidate_set("a", singers, "SELECT 3", "SELECT 2", None, "SELECT 3"),
        candidate_set("no gold", singers, "SELECT 3"),
        candidate_set("broken gold", singers, "SELECT 3"),
    ]
    with Executor(workers=1) as executor:
        judged = judge_candidates(sets, {"a": COUNT, "broken gold": "SELEC"}, executor)
    assert [judged_set.id for judged_set in judged] == ["a", "broken gold"]
    assert [judged_set.is_judged for judged_set in judged] == [True, False]
    assert judged[0].correct == (True, False, False, True)
    assert judged[0].correct_by_sql == {"SELECT 3": True, "SELECT 2": False, None: False}


def test_predictions_are_judged_where_gold_runs(singers):
    gold = {"right": COUNT, "wrong": COUNT, "broken gold": "SELEC", "no gold": None}
    questions = [
        Question(name, "?", "singers", singers, gold_sql=sql) for name, sql in gold.items()
    ]
    predictions = [Prediction(name, "SELECT 2" if name == "wrong" else "SELECT 3") for name in gold]
    with Executor(workers=1) as executor:
        correct = judge_predictions(predictions, questions, executor, Match.BIRD)
    assert correct == {"right": True, "wrong": False}


def test_a_fault_of_the_machine_is_no_verdict(singers, monkeypatch):
    """As when the kernel ends the worker; the question is left out, not wrong."""
    with Executor(workers=1) as executor:
        verdicts = executor.judge([Pair(singers, "SELECT 3", COUNT)], match=Match.BIRD)
        lost = Execution(Status.ERROR, "the worker was killed", INFRASTRUCTURE)
        verdicts = [replace(verdict, correct=None, predicted=lost) for verdict in verdicts]
        monkeypatch.setattr(executor, "judge", lambda pairs, **_: verdicts * len(pairs))
        question = Question("a", "?", "singers", singers, gold_sql=COUNT)
        predictions = [Prediction("a", "SELECT 3")]
        assert judge_predictions(predictions, [question], executor, Match.BIRD) == {}
        found = evaluate([question], {"a": "SELECT 3"}, match=Match.BIRD, executor=executor)
    assert found.accuracy is None
    assert found.left_out == {"machine failed": 1}
