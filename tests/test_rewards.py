"""Rewards: what earns how much, and that the evaluation judges alike."""

import pickle
from pathlib import Path

import pytest

from rewards import (
    REWARDS,
    Judge,
    LengthReward,
    TooManyFaultsError,
    components_reward,
    executable_reward,
    execution_reward,
    format_reward,
    linking_reward,
    make_rewards,
)
from slmsql.errors import InputError
from slmsql.execution import Execution, Status, Verdict
from slmsql.match import Match
from slmsql.suites.neighbours.folder import Suites
from slmsql.suites.neighbours.making import Task, make_suite

GOLD = "SELECT name FROM singer WHERE age = 30"


def think(sql):
    return [{"role": "assistant", "content": f"<think>\nwhy\n</think>\n<answer>\n{sql}\n</answer>"}]


def pay(reward, database, *sql, gold=GOLD, **more):
    completions = [think(text) for text in sql]
    return reward(
        completions=completions,
        gold_sql=[gold] * len(sql),
        database=[str(database)] * len(sql),
        **more,
    )


def test_execution_rewards_the_result_not_the_text(singers):
    right = "SELECT s.name FROM singer AS s WHERE s.age > 29"
    assert pay(execution_reward, singers, GOLD, right, "SELECT name FROM singer") == [1, 1, 0]


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "I do not know",
        "SELECT nothing FROM singer",
        "DELETE FROM singer",
        "ATTACH '/etc/passwd' AS x",
        "PRAGMA writable_schema = 1",
        "SELECT 1; SELECT name FROM singer WHERE age = 30",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "SELECT zeroblob(1000000000)",
        "SELECT 1, 2, 3, 4, 5\x00",
    ],
)
def test_anything_but_a_right_answer_earns_nothing(singers, sql):
    assert pay(execution_reward, singers, sql) == [0.0]


def test_completions_may_be_plain_text(singers):
    assert execution_reward(
        completions=[GOLD, "SELECT 1"], gold_sql=[GOLD] * 2, database=[str(singers)] * 2
    ) == [1.0, 0.0]


def test_executable_rewards_any_query_that_runs(singers):
    sql = (GOLD, "SELECT 1", "SELECT", "DROP TABLE singer")
    assert pay(executable_reward, singers, *sql) == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("completion", "paid"),
    [
        ("<think>\na\n</think>\n<answer>\nSELECT 1\n</answer>", 1.0),
        ("<think>a</think><answer>SELECT 1</answer>\n", 1.0),
        ("<answer>SELECT 1</answer>", 0.0),
        ("<think>a</think><answer>SELECT 1", 0.0),
        ("<think></think><answer>SELECT 1</answer>", 0.0),
        ("<think>a</think><answer>SELECT 1</answer><answer>SELECT 2</answer>", 0.0),
        ("<think>a</think><answer>SELECT 1</answer> That is all.", 0.0),
        ("SELECT 1", 0.0),
    ],
)
def test_format_rewards_one_thought_and_one_answer(completion, paid):
    assert format_reward(completions=[completion]) == [paid]


def test_the_match_mode_decides(singers):
    swapped, gold = "SELECT age, name FROM singer", "SELECT name, age FROM singer"
    paid = {
        mode: pay(
            make_rewards(["execution"], match=mode, judge=Judge())[0], singers, swapped, gold=gold
        )
        for mode in Match
    }
    assert paid == {Match.BIRD: [0.0], Match.SPIDER: [1.0], Match.STRICT: [0.0]}


def test_trl_gets_the_name_of_the_metric_and_the_status_of_each_query(singers):
    extra, metrics = {}, {}
    pay(
        execution_reward,
        singers,
        GOLD,
        "SELECT",
        log_extra=lambda name, values: extra.update({name: values}),
        log_metric=lambda name, value: metrics.update({name: value}),
    )
    assert execution_reward.__name__ == "execution_reward"
    assert extra == {"status": ["ok", "error"]}
    assert metrics == {"judge/faults": 0.0}


@pytest.fixture
def suites(singers, tmp_path):
    """Suites with one for `GOLD`."""
    make_suite(Task(singers, GOLD, tmp_path / "suites", seed=0))
    (tmp_path / "suites" / "card.json").write_text("{}")
    return Suites(tmp_path / "suites")


def test_the_suite_rewards_do_not_pay_a_coincidence(singers, suites):
    judge = Judge(workers=1, suites=suites)
    names = ["execution", "execution_suite", "execution_suite_share"]
    plain, suite, share = make_rewards(names, match=Match.BIRD, judge=judge)
    sql = (GOLD, "SELECT name FROM singer WHERE age > 25", "SELECT name FROM singer", "SELECT")
    assert pay(plain, singers, *sql) == [1, 1, 0, 0]
    assert pay(suite, singers, *sql) == [1, 0, 0, 0]
    right, lucky, *wrong = pay(share, singers, *sql)
    assert right == 1
    assert 0 < lucky < 1
    assert wrong == [0, 0]
    assert (suite.__name__, share.__name__) == (
        "execution_suite_reward",
        "execution_suite_share_reward",
    )
    judge.close()


def test_the_suite_rewards_pay_a_row_without_a_suite_by_its_own_database(singers, suites):
    judge = Judge(workers=1, suites=suites)
    for reward in make_rewards(
        ["execution_suite", "execution_suite_share"], match=Match.BIRD, judge=judge
    ):
        other = "SELECT age FROM singer WHERE id = 2"
        sql = (other, "SELECT 25", "SELECT 26")
        assert pay(reward, singers, *sql, gold=other) == [1, 1, 0]
    judge.close()


def test_the_suite_rewards_ask_for_suites():
    with pytest.raises(InputError, match="the reward execution_suite needs --suites DIR"):
        make_rewards(["execution_suite"], match=Match.BIRD, judge=Judge())
    with pytest.raises(ValueError, match="the judge has no suites"):
        Judge().suite_verdicts([], Match.BIRD)


def test_rewards_can_be_pickled(singers, suites):
    judge = Judge(workers=1, suites=suites)
    for reward in make_rewards(list(REWARDS), match=Match.STRICT, judge=judge):
        assert pickle.loads(pickle.dumps(reward)).__name__ == reward.__name__
    assert pay(pickle.loads(pickle.dumps(execution_reward)), singers, GOLD) == [1.0]


def test_unknown_and_repeated_rewards_are_errors():
    with pytest.raises(InputError, match=r"unknown rewards \['exekution'\]; expected some of"):
        make_rewards(["exekution"], match=Match.BIRD, judge=Judge())
    with pytest.raises(InputError, match="given twice"):
        make_rewards(["format", "format"], match=Match.BIRD, judge=Judge())


def test_a_missing_database_stops_the_training():
    with pytest.raises(FileNotFoundError):
        pay(execution_reward, Path("gone/gone.sqlite"), GOLD)


def test_too_many_faults_of_the_machine_stop_the_training():
    ended = Execution(Status.OK)
    fault = Verdict(None, ended, ended, "the worker could not be started")
    judge = Judge(fault_share=0.05)
    judge._count_faults([fault] * 9)  # too few to tell
    with pytest.raises(TooManyFaultsError, match=r"10 of the last 10 .* could not be started"):
        judge._count_faults([fault])
    patient = Judge(fault_share=0.05)
    patient._count_faults([Verdict(False, ended, ended)] * 300)
    patient._count_faults([fault] * 15)


JOINED = (
    "SELECT T1.name, count(*) FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id "
    "WHERE T1.age > 20 AND T2.title = 'Bye' GROUP BY T1.name"
)


@pytest.mark.parametrize(
    ("sql", "linking", "components"),
    [
        (JOINED, 1.0, 1.0),
        (JOINED.replace("T1", "a").replace("T2", "b").lower().replace("'bye'", "'Bye'"), 1.0, 1.0),
        (JOINED + " ORDER BY T1.birthday", 0.75, 5 / 6),  # its tables and one column too many
        (JOINED.replace(" AND T2.title = 'Bye'", ""), 0.5, 4.5 / 5),
        ("SELECT name FROM singer", 0.0, (1 / 2 + 1) / 5),
        ("SELECT", 0.0, 0.0),
        ("SELECT * FROM (((((", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_linking_compares_names_and_components_compares_clauses(sql, linking, components):
    given = {"completions": [think(sql)], "gold_sql": [JOINED]}
    assert linking_reward(**given) == [linking]
    assert components_reward(**given) == [pytest.approx(components)]


def test_subqueries_too_deep_to_be_written_back_earn_nothing():
    deep = "SELECT * FROM (" * 100 + JOINED + ")" * 100
    given = {"completions": [think(deep)], "gold_sql": [JOINED]}
    assert linking_reward(**given) == [1.0]
    assert components_reward(**given) == [0.0]


def test_tables_defined_in_a_with_clause_do_not_count():
    gold = "WITH old AS (SELECT name FROM singer WHERE age > 30) SELECT count(*) FROM old"
    sql = "SELECT count(name) FROM singer WHERE age > 30"
    assert linking_reward(completions=[think(sql)], gold_sql=[gold]) == [1.0]


def test_length_is_penalised_in_the_last_fifth_before_the_limit():
    reward = LengthReward(limit=100, share=0.2)
    paid = reward(completion_ids=[[1] * length for length in (10, 80, 90, 100, 120)])
    assert paid == pytest.approx([0, 0, -0.5, -1, -1])
