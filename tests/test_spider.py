import json

import pytest

from slmsql.evaluation.spider import (
    Catalog,
    Catalogs,
    NotInGrammar,
    hardness,
    read_foreign_keys,
    read_query,
    same_sets,
    with_levels,
)
from slmsql.questions.question import with_databases
from slmsql.questions.reading import read_benchmark

SCHEMA = Catalog(
    {"singer": ("id", "name", "age"), "song": ("id", "title", "singer_id")},
    {"song.singer_id": "singer.id", "singer.id": "singer.id"},
)


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [
        ("SELECT name, age FROM singer", "SELECT age , name FROM singer"),
        ("SELECT name FROM singer WHERE age=3", "SELECT name FROM singer WHERE age  =  99"),
        ("SELECT DISTINCT name FROM singer", "SELECT name FROM singer"),
        (
            "SELECT singer.name FROM singer JOIN song ON singer.id = song.singer_id",
            "SELECT T1.name FROM song AS T2 JOIN singer AS T1 ON T1.id = T2.singer_id",
        ),
        (
            "SELECT T2.singer_id FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id",
            "SELECT T1.id FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id",
        ),
    ],
)
def test_sets_of_parts_match(predicted, gold):
    assert same_sets(predicted, gold, SCHEMA) is True


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [
        ("SELECT name FROM singer", "SELECT name, age FROM singer"),
        ("SELECT name FROM singer ORDER BY age", "SELECT name FROM singer ORDER BY age DESC"),
        ("SELECT name FROM singer LIMIT 1", "SELECT name FROM singer"),
        (
            "SELECT name FROM singer WHERE age = 1 OR id = 2",
            "SELECT name FROM singer WHERE age = 1 AND id = 2",
        ),
        ("SELECT name FROM singer AS s LEFT JOIN song AS t ON 1", "SELECT name FROM singer"),
        ("SELECT name AS n FROM singer", "SELECT name FROM singer"),
        ("not SQL", "SELECT name FROM singer"),
    ],
)
def test_other_parts_do_not_match(predicted, gold):
    assert same_sets(predicted, gold, SCHEMA) is False


def test_gold_beyond_the_grammar_has_no_verdict():
    assert same_sets("SELECT name FROM singer", "SELECT name AS n FROM singer", SCHEMA) is None


@pytest.mark.parametrize("sql", ["", "SELECT", "SELECT name", "SELECT x FROM singer", "FROM ((("])
def test_what_the_grammar_cannot_read_says_so(sql):
    with pytest.raises(NotInGrammar):
        read_query(sql, SCHEMA)


@pytest.mark.parametrize(
    ("sql", "level"),
    [
        ("SELECT name FROM singer", "easy"),
        ("SELECT name, age FROM singer WHERE age > 3", "medium"),
        ("SELECT name FROM singer WHERE id IN (SELECT singer_id FROM song)", "hard"),
        (
            "SELECT name, age FROM singer WHERE id IN (SELECT singer_id FROM song) ORDER BY age",
            "extra",
        ),
        ("SELECT name AS n FROM singer", ""),
    ],
)
def test_levels_are_spiders(sql, level):
    assert hardness(sql, SCHEMA) == level


def test_spider_dev_has_the_evaluators_levels_and_scores(benchmarks):
    """The figures are those of the evaluator itself, on the questions with a database."""
    catalogs = Catalogs(read_foreign_keys(benchmarks / "spider" / "tables.json"))
    questions, _ = with_databases(read_benchmark("spider", benchmarks / "spider", "dev"))
    levels = [question.difficulty for question in with_levels(questions, catalogs)]
    counts = {level: levels.count(level) for level in ("easy", "medium", "hard", "extra")}
    assert counts == {"easy": 232, "medium": 416, "hard": 160, "extra": 164}
    for name, expected in {"codes-1b": 699, "dail-sql-gpt4": 681, "ta-sql-gpt4": 419}.items():
        file = benchmarks / "predictions" / f"spider_dev__{name}.jsonl"
        answers = {r["id"]: r["sql"] for r in map(json.loads, file.read_text().splitlines())}
        right = [same_sets(answers[q.id], q.gold_sql, catalogs.of(q)) for q in questions]
        assert sum(map(bool, right)) == expected, name
