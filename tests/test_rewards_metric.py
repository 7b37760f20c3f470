"""The reward is the metric: real predictions through both, in all three modes."""

import pytest

from rewards import Judge, make_rewards
from slmsql.consistency.prediction import read_predictions
from slmsql.evaluation import evaluate
from slmsql.execution import Executor
from slmsql.match import Match
from slmsql.questions.question import with_databases
from slmsql.questions.reading import read_benchmark

RUNS = {
    "spider": ("codes-1b", "codes-15b"),  # 972 questions each
    "bird": ("codes-1b-evidence", "chatgpt+cot"),  # 129 each, on superhero
}


def real_predictions(benchmarks, benchmark):
    """Questions with a database, and the predictions of each run for them."""
    questions, _ = with_databases(read_benchmark(benchmark, benchmarks / benchmark, "dev"))
    for run in RUNS[benchmark]:
        file = benchmarks / "predictions" / f"{benchmark}_dev__{run}.jsonl"
        yield questions, read_predictions(file, questions)


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", RUNS)
def test_real_predictions_earn_what_the_evaluation_says(benchmarks, benchmark):
    """2,202 in all: 1,944 on Spider dev, 258 on BIRD's superhero."""
    judge = Judge()
    with Executor() as executor:
        for questions, predictions in real_predictions(benchmarks, benchmark):
            said = evaluate(questions, predictions, match=Match.BIRD, executor=executor)
            assert len(said.outcomes) == {"spider": 972, "bird": 129}[benchmark]
            for match in Match:
                (reward,) = make_rewards(["execution"], match=match, judge=judge)
                paid = reward(
                    completions=[f"<answer>{predictions[q.id]}</answer>" for q in questions],
                    gold_sql=[question.gold_sql for question in questions],
                    database=[str(question.database) for question in questions],
                )
                assert paid == [
                    float(outcome.correct[match]) if outcome.is_judged else None
                    for outcome in said.outcomes
                ]
                assert 0.2 < sum(paid) / len(paid) < 0.95
    judge.close()
