import json
from dataclasses import replace

import pytest

from slmsql.consistency.candidates import Candidate, CandidateSet
from slmsql.errors import InputError
from slmsql.evaluation import ErrorClass, Extras, as_record, as_table, efficiency, evaluate
from slmsql.evaluation.candidate_metrics import (
    Price,
    cut_notes,
    pass_at_k_note,
    usage,
    with_candidates,
)
from slmsql.evaluation.constructs import constructs
from slmsql.evaluation.report import outcome_record
from slmsql.execution import Executor, create_database, job
from slmsql.files import write_json
from slmsql.match import Match, soft_f1
from slmsql.questions.question import Question
from slmsql.sql.parsing import normalised
from slmsql.suites.neighbours.making import Task, make_suite

NAMES = "SELECT name FROM singer"


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as running:
        yield running


def ask(singers, sql=NAMES, number=1, **details):
    return Question(str(number), "names?", "singers", singers, gold_sql=sql, **details)


def scored(questions, predictions, executor, match=Match.BIRD):
    answers = {q.id: sql for q, sql in zip(questions, predictions, strict=True)}
    return evaluate(questions, answers, match=match, executor=executor)


def test_each_mode_has_its_own_verdict(singers, executor):
    gold = "SELECT age FROM singer"
    found = scored([ask(singers, gold)], ["SELECT DISTINCT age FROM singer"], executor)
    assert found.outcomes[0].correct == {
        Match.BIRD: True,
        Match.SPIDER: True,
        Match.STRICT: False,
    }


def test_the_headline_is_the_mode_that_was_asked_for(singers, executor):
    gold = "SELECT age FROM singer"
    sql = "SELECT DISTINCT age FROM singer"
    assert scored([ask(singers, gold)], [sql], executor).accuracy.value == 100
    assert scored([ask(singers, gold)], [sql], executor, Match.STRICT).accuracy.value == 0


def test_a_question_without_a_database_is_left_out_and_not_wrong(singers, executor, tmp_path):
    lost = Question("2", "?", "nowhere", tmp_path / "nowhere.sqlite", gold_sql=NAMES)
    found = scored([ask(singers), lost], [NAMES, NAMES], executor)
    assert (found.accuracy.value, found.accuracy.n) == (100, 1)
    assert as_record(found)["left_out_because"] == {"no database": 1}


def test_gold_that_fails_is_left_out_and_counted(singers, executor):
    found = scored([ask(singers), ask(singers, "SELECT x", 2)], [NAMES, NAMES], executor)
    assert found.accuracy.n == 1
    assert found.left_out == {"gold query fails": 1}


def test_without_any_gold_there_is_validity_and_no_accuracy(singers, executor):
    found = scored([ask(singers, None)], [NAMES], executor)
    record = as_record(found)
    assert record["execution_accuracy"] is None
    assert record["metrics"]["valid_sql"]["value"] == 100
    assert "not defined" in as_table(found)


def test_what_does_not_run_is_wrong_and_not_valid(singers, executor):
    found = scored([ask(singers), ask(singers, number=2)], ["", "DELETE FROM singer"], executor)
    assert found.accuracy.value == 0
    assert as_record(found)["metrics"]["valid_sql"]["value"] == 0


def test_difficulties_stand_from_easy_to_hard(singers, executor):
    levels = ["challenging", "simple", "moderate"]
    questions = [ask(singers, number=i, difficulty=level) for i, level in enumerate(levels)]
    found = as_record(scored(questions, [NAMES] * 3, executor))
    assert list(found["by"]["difficulty"]) == ["simple", "moderate", "challenging"]
    assert found["by"]["database"]["singers"]["n"] == 3


def test_an_outcome_shows_both_results(singers, executor):
    record = outcome_record(scored([ask(singers)], ["SELECT 1.5"], executor).outcomes[0])
    assert record["predicted"]["rows"] == [[1.5]]
    assert record["gold"]["rows"] == [["Ann"], ["Bob"], ["Cid"]]


def diagnosed(singers, executor, gold, sql):
    return scored([ask(singers, gold)], [sql], executor).outcomes[0].error_class


@pytest.mark.parametrize(
    ("gold", "sql", "kind"),
    [
        (NAMES, "SELEC name", ErrorClass.SYNTAX),
        (NAMES, "SELECT nobody FROM singer", ErrorClass.NO_SUCH_NAME),
        (NAMES, "", ErrorClass.NO_SQL),
        (NAMES, "DELETE FROM singer", ErrorClass.REFUSED),
        (NAMES, "SELECT title FROM song", ErrorClass.TABLE),
        (NAMES, "SELECT name FROM singer JOIN song ON age = 1", ErrorClass.JOIN),
        (NAMES, "SELECT name, age FROM singer", ErrorClass.COLUMN_COUNT),
        (NAMES, "SELECT age FROM singer", ErrorClass.COLUMN),
        ("SELECT max(age) FROM singer", "SELECT min(age) FROM singer", ErrorClass.AGGREGATION),
        (NAMES, "SELECT name FROM singer WHERE age = 30", ErrorClass.FILTER),
        (NAMES, "SELECT name FROM singer WHERE age = 99", ErrorClass.EMPTY),
        ("SELECT count(*) FROM singer GROUP BY age", "SELECT count(*) FROM singer GROUP BY id",
         ErrorClass.GROUPING),
        ("SELECT name FROM singer ORDER BY age LIMIT 1",
         "SELECT name FROM singer ORDER BY age DESC, name LIMIT 1", ErrorClass.ORDER),
        ("SELECT name FROM singer ORDER BY age DESC LIMIT 1",
         "SELECT name FROM singer ORDER BY age DESC, id DESC LIMIT 1", ErrorClass.AMBIGUOUS_GOLD),
        ("SELECT name, age FROM singer", "SELECT age, name FROM singer", ErrorClass.COLUMN_ORDER),
        ("SELECT age FROM singer UNION SELECT id FROM song",
         "SELECT age FROM singer INTERSECT SELECT id FROM song", ErrorClass.EMPTY),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_classed(singers, executor, gold, sql, kind):
    assert diagnosed(singers, executor, gold, sql) is kind


def test_a_right_answer_has_no_error(singers, executor):
    assert diagnosed(singers, executor, NAMES, "SELECT T1.name FROM singer AS T1") is None


def test_exact_match_ignores_spelling_and_aliases(singers, executor):
    gold = "SELECT T1.name FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id WHERE age=30"
    sql = (
        'select singer.Name as n from singer inner join "song" on singer.id = song.singer_id\n'
        "where AGE = 30 -- old"
    )
    assert scored([ask(singers, gold)], [sql], executor).outcomes[0].scores["exact_match"] is True


def test_a_text_in_double_quotes_is_that_text():
    assert normalised('SELECT a FROM t WHERE b = "X"') == normalised("SELECT a FROM t WHERE b='X'")
    assert normalised('SELECT a FROM t WHERE b = "X"') != normalised("SELECT a FROM t WHERE b='x'")


def test_timed_answers_have_r_ves_and_wrong_ones_nothing(singers, executor):
    questions = [ask(singers), ask(singers, number=2)]
    answers = {"1": "SELECT T1.name FROM singer AS T1", "2": "SELECT 1"}
    found = evaluate(
        questions, answers, match=Match.BIRD, executor=executor, extras=Extras(timings=3)
    )
    right, wrong = (outcome.scores["r_ves"] for outcome in found.outcomes)
    assert 0.5 <= right <= 1.25**0.5
    assert wrong == 0.0


def test_the_gold_query_is_as_fast_as_itself(singers, executor):
    questions = [ask(singers, number=number) for number in range(40)]
    answers = {q.id: f"  {NAMES}; -- the gold query" for q in questions}
    found = evaluate(
        questions, answers, match=Match.BIRD, executor=executor, extras=Extras(timings=1)
    )
    metrics = as_record(found)["metrics"]
    for name in ("r_ves", "r_ves_filtered", "r_ves_steps", "ves"):
        assert metrics[name]["value"] == 100


def test_a_suite_that_lacks_a_database_is_refused(singers, executor, tmp_path):
    def score(folder):
        questions = [ask(singers), Question("2", "?", "songs", singers, gold_sql=NAMES)]
        extras = Extras(suites=folder)
        answers = {"1": NAMES, "2": NAMES}
        evaluate(questions, answers, match=Match.BIRD, executor=executor, extras=extras)

    with pytest.raises(InputError, match="no suite for 2 of 2 databases"):
        score(tmp_path / "wrong")
    create_database(tmp_path / "part" / "singers" / "other.sqlite", "CREATE TABLE singer (name);")
    with pytest.raises(InputError, match=r"no suite for 1 of 2 databases.*part/songs"):
        score(tmp_path / "part")


def test_a_test_suite_asks_for_the_same_result_on_every_database(singers, executor, tmp_path):
    suite = tmp_path / "suites" / "singers"
    create_database(
        suite / "other.sqlite",
        "CREATE TABLE singer (id, name, age); INSERT INTO singer VALUES (9, 'Ida', 30);",
    )
    gold, lucky = "SELECT name FROM singer WHERE id = 3", "SELECT name FROM singer WHERE name > 'C'"
    found = evaluate(
        [ask(singers, gold), ask(singers, gold, 2)],
        {"1": lucky, "2": gold},
        match=Match.SPIDER,
        executor=executor,
        extras=Extras(suites=tmp_path / "suites"),
    )
    assert [outcome.correct[Match.SPIDER] for outcome in found.outcomes] == [True, True]
    assert [outcome.scores["ex_test_suite"] for outcome in found.outcomes] == [False, True]


def test_suite_ex_refuses_a_coincidence_and_shows_a_witness(singers, executor, tmp_path):
    gold, lucky = "SELECT name FROM singer WHERE age = 30", "SELECT name FROM singer WHERE age > 25"
    other = "SELECT count(*) FROM song"
    make_suite(Task(singers, gold, tmp_path / "suites", seed=0))
    write_json(tmp_path / "suites" / "card.json", {})
    found = evaluate(
        [ask(singers, gold), ask(singers, gold, 2), ask(singers, other, 3), ask(singers, gold, 4)],
        {"1": lucky, "2": gold, "3": other, "4": "SELECT 1"},
        match=Match.BIRD,
        executor=executor,
        extras=Extras(suites=tmp_path / "suites"),
    )
    scores = [outcome.scores.get("ex_suite") for outcome in found.outcomes]
    assert scores == [False, True, None, False]  # the third has no suite
    record = as_record(found)
    assert record["metrics"]["ex_suite"]["n"] == 3
    assert record["execution_accuracy"] == 75
    assert record["coincidences"] == {"wrong filter or value": 1}
    assert "right by coincidence: 1 wrong filter or value" in as_table(found)
    coincidence = outcome_record(found.outcomes[0])["coincidence"]
    assert coincidence["predicted"] != coincidence["gold"]
    assert 'INSERT INTO "singer"' in coincidence["witness"]
    assert outcome_record(found.outcomes[1])["coincidence"] is None


@pytest.mark.parametrize(
    ("predicted", "gold", "ours", "official"),
    [
        ([], [], 1.0, 1.0),
        ([(1,)], [], 0.0, 0.0),
        ([(1,), (2,)], [(2,), (1,)], 1.0, 0.0),
        ([(1,) * 50], [(1, "a")], 2 / 52, 2 / (1 + 51 / 50) * 1),
        ([("a", 1)], [("a", 2)], 0.5, 0.5),
        ([(1,), (1,)], [(1,)], 2 / 3, 1.0),
    ],
)
def test_soft_f1_does_not_depend_on_order_and_counts_each_value_once(
    predicted, gold, ours, official
):
    assert soft_f1.soft_f1(predicted, gold) == pytest.approx(ours)
    assert soft_f1.official(predicted, gold) == pytest.approx(official, abs=0.01)


def test_only_the_rows_to_show_leave_the_workers(singers, executor, monkeypatch):
    """Complete results of a few hundred questions would fill the memory."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)"
    gold, sql = f"{numbers} SELECT i, 1 FROM n", f"{numbers} SELECT i, i % 2 FROM n"
    received = []
    decode = job.decode

    def measured(body):
        received.append(len(body))
        return decode(body)

    monkeypatch.setattr(job, "decode", measured)
    outcome = scored([ask(singers, gold)], [sql], executor).outcomes[0]
    assert outcome.scores["soft_f1"] == pytest.approx(0.75, abs=0.01)
    assert outcome.scores["soft_f1_official"] > 0
    assert outcome.gold.row_count == 9000
    assert max(received) < 2000


def test_constructs_are_what_the_gold_query_uses():
    assert constructs("SELECT a FROM t WHERE b IN (SELECT c FROM u) ORDER BY a LIMIT 1") == (
        "where",
        "in",
        "order by",
        "limit",
        "subquery",
    )
    assert constructs("not SQL at all (") == ()


@pytest.mark.parametrize(
    ("ratio", "paid"), [(3, 1.25), (2, 1.25), (1, 1), (0.5, 0.75), (0.3, 0.5), (0.01, 0.25)]
)
def test_rewards_of_r_ves_are_those_of_bird(ratio, paid):
    assert efficiency.reward(ratio) == paid
    assert efficiency.official_reward([ratio] * 5) == paid


def candidates(singers, *queries, number=1):
    found = tuple(Candidate(sql) for sql in queries)
    return CandidateSet(str(number), "singers", singers, found)


def test_candidates_give_pass_at_k_groups_and_margins(singers, executor):
    right, wrong = "SELECT name FROM singer ORDER BY id", "SELECT 1"
    base = scored([ask(singers)], [NAMES], executor)
    sets = [candidates(singers, right, wrong, right, "SELECT x")]
    found, sampling = with_candidates(base, sets, executor)
    groups = [(group.votes, group.correct, group.status) for group in found.outcomes[0].groups]
    assert groups == [(2, True, "ok"), (1, False, "ok"), (1, False, "error")]
    assert {k: metric.value for k, metric in sampling.pass_at_k.items()} == {
        1: 50.0,
        2: pytest.approx(100 * 5 / 6),
        4: 100.0,
    }
    assert list(sampling.margins) == ["25% – 50%"]
    assert sampling.top2.value == 100


def test_pass_at_k_of_adaptive_samples_comes_from_the_first_round(singers, executor):
    right, wrong = "SELECT name FROM singer ORDER BY id", "SELECT 1"
    base = scored([ask(singers), ask(singers, number=2)], [NAMES, NAMES], executor)
    sets = [
        candidates(singers, right, right),
        candidates(singers, wrong, wrong, right, wrong, number=2),
    ]
    sets = [replace(candidate_set, first_round=2) for candidate_set in sets]
    _, sampling = with_candidates(base, sets, executor)
    assert {k: metric.value for k, metric in sampling.pass_at_k.items()} == {1: 50.0, 2: 50.0}
    assert "first 2 candidates" in pass_at_k_note(sampling.as_record())[0]
    _, unknown = with_candidates(
        base, [replace(candidate_set, first_round=None) for candidate_set in sets], executor
    )
    assert unknown.pass_at_k == {}
    assert "left out" in pass_at_k_note(unknown.as_record())[0]


def test_tokens_and_cost_are_those_that_the_sampler_recorded(tmp_path):
    file = tmp_path / "candidates.jsonl"
    counts = [{"prompt_tokens": 100, "tokens": 10}, {"prompt_tokens": 300, "tokens": 30}]
    file.write_text("".join(json.dumps({"candidates": [], **one}) + "\n" for one in counts))
    found = usage([file], Price(prompt=1.0, completion=10.0))
    assert (found["tokens"]["mean"], found["prompt_tokens"]["p50"]) == (20.0, 200.0)
    assert found["dollars_per_question"] == pytest.approx(0.0004)
    assert "seconds" not in found


def test_cost_and_latency_are_those_of_both_stages_per_question(tmp_path):
    counts = {"prompt_tokens": 100, "tokens": 10, "seconds": 1.0}
    candidates = [{"id": name, "candidates": [], **counts} for name in "ab"]
    for name, records in (("first", candidates), ("more", candidates), ("revised", candidates[:1])):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"{name}.jsonl").write_text(text)
    files = [tmp_path / "first.jsonl", tmp_path / "more.jsonl"]
    price, merge_price = Price(prompt=1.0, completion=10.0), Price(prompt=2.0, completion=20.0)
    found = usage(files, price, [tmp_path / "revised.jsonl"], merge_price)
    assert (found["tokens"]["n"], found["tokens"]["mean"]) == (2, 25.0)
    assert (found["seconds"]["p50"], found["seconds"]["p99"]) == (2.5, pytest.approx(2.99))
    assert found["dollars_per_question"] == pytest.approx((800 + 400) / 2 / 1e6)


def test_completions_that_were_cut_are_counted_in_each_stage(tmp_path):
    for name, reasons in (("first", ["stop", "length", ""]), ("revised", ["length", "length"])):
        record = {"id": "a", "candidates": [{"sql": "x", "finish": reason} for reason in reasons]}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(record) + "\n")
    found = usage([tmp_path / "first.jsonl"], Price(), [tmp_path / "revised.jsonl"])
    assert found == {"finish": {"stop": 1, "length": 1}, "revisions_finish": {"length": 2}}
    assert cut_notes(found) == [
        "1 of 2 completions were cut at the token limit",
        "2 of 2 revisions were cut at the token limit",
    ]
    assert cut_notes({}) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "(" * 5000,
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "SELECT 1" + " UNION SELECT 1" * 2000,
        "SELECT name FROM singer WHERE " + " AND ".join(["age = 1"] * 3000),
        "SELECT \ud800 \0 FROM 'x",
        "WITH a AS (SELECT 1) , ) SELECT $1 @b :c ?",
    ],
)
def test_hostile_predictions_are_only_wrong(singers, executor, sql):
    outcome = scored([ask(singers)], [sql], executor).outcomes[0]
    assert outcome.correct[Match.BIRD] is False
    assert outcome.error_class is not None
