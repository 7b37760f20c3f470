"""Signs that a gold query is wrong although it runs."""

import pytest

from slmsql.execution import Executor, create_database
from slmsql.match import Match
from slmsql.questions.gold_audit import audit, clean_questions
from slmsql.questions.gold_probes import Sign, find_signs
from slmsql.questions.question import Question

SCRIPT = """
CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT, area TEXT, people INTEGER, code TEXT);
INSERT INTO city VALUES (1, 'Rome', '1285', 28, 'A'), (2, 'Bern', '51', 1, 'B'),
    (3, 'Oslo', '454', NULL, 'C'), (4, 'Bonn', '141', 3, 'D'), (5, 'Nice', '71', 3, 'E');
CREATE TABLE shop (id INTEGER PRIMARY KEY, city_id INTEGER REFERENCES city (id), open INTEGER);
INSERT INTO shop VALUES (1, 1, 1), (2, 1, 0), (3, 2, 1);
"""
SOUND = "SELECT name FROM city WHERE name = 'Rome' AND people > 20 ORDER BY people DESC LIMIT 1"


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


@pytest.fixture(scope="module")
def cities(tmp_path_factory):
    path = tmp_path_factory.mktemp("city") / "city.sqlite"
    create_database(path, SCRIPT)
    return path


def ask(cities, gold, number=1):
    return Question(str(number), f"question {number}?", "city", cities, gold_sql=gold)


@pytest.mark.parametrize(
    ("gold", "signs"),
    [
        (SOUND, []),
        ("SELECT name FROM city ORDER BY area DESC LIMIT 1", [Sign.TEXT_ORDER]),
        ("SELECT max(T1.area) FROM city AS T1", [Sign.TEXT_ORDER]),
        ("SELECT name FROM city WHERE area > 100", [Sign.TEXT_ORDER]),
        ("SELECT name FROM city WHERE CAST(area AS REAL) > 100", []),
        ("SELECT name FROM city ORDER BY code LIMIT 1", []),
        ("SELECT name FROM city ORDER BY people LIMIT 1", [Sign.NULL_FIRST]),
        ("SELECT name FROM city ORDER BY people DESC LIMIT 2", [Sign.CUT_TIES]),
        ("SELECT name FROM city ORDER BY people DESC LIMIT 3", []),
        ("SELECT name FROM city WHERE id IN (SELECT id FROM city ORDER BY people LIMIT 1)",
         [Sign.NULL_FIRST]),
        ("SELECT count(name) FROM city ORDER BY id LIMIT 1", [Sign.ONE_ROW]),
        ("SELECT code, count(*) FROM city GROUP BY code ORDER BY code", []),
        ("SELECT count(open) * 100 / count(*) FROM shop", [Sign.WHOLE_DIVISION]),
        ("SELECT sum(CASE WHEN open = 1 THEN 1 ELSE 0 END) / count(*) FROM shop",
         [Sign.WHOLE_DIVISION]),
        ("SELECT CAST(count(open) AS REAL) / count(*) FROM shop", []),
        ("SELECT count(open) * 100.0 / count(*) FROM shop", []),
        ("SELECT id FROM city WHERE name = 'Roma'", [Sign.UNKNOWN_VALUE]),
        ("SELECT id FROM city WHERE name IN ('Rome', 'Paris')", [Sign.UNKNOWN_VALUE]),
        ("SELECT T2.id FROM city AS T1 JOIN shop AS T2 ON T1.id = T2.city_id WHERE T1.name = 'X'",
         [Sign.UNKNOWN_VALUE]),
    ],
)  # fmt: skip
def test_a_sign_is_found_and_its_absence_too(gold, signs, cities, executor):
    assert find_signs([ask(cities, gold)], executor) == [signs]


@pytest.mark.parametrize(
    "gold",
    ["SELEC", "", "SELECT (" * 400, "SELECT name FROM nowhere WHERE a = 'b'", "DROP TABLE city"],
)
def test_hostile_gold_queries_have_no_signs(gold, cities, executor):
    assert find_signs([ask(cities, gold)], executor) == [[]]


def test_the_audit_looks_for_signs_if_asked_and_leaves_such_questions_out(cities, executor):
    questions = [ask(cities, SOUND), ask(cities, "SELECT max(area) FROM city", 2)]
    plain = audit(questions, executor)
    assert [entry.signs for entry in plain] == [[], []]
    assert clean_questions(plain, Match.BIRD) == questions
    probed = audit(questions, executor, probe=True)
    assert [entry.signs for entry in probed] == [[], [Sign.TEXT_ORDER]]
    assert probed[1].as_record()["signs"] == ["compares numbers stored as text"]
    assert clean_questions(probed, Match.BIRD) == questions[:1]
