"""Rows of neighbours: what the original shows holds in them."""

import pytest

from slmsql.execution import Executor, Pair
from slmsql.match import Match
from slmsql.suites.neighbours.building import try_neighbours
from slmsql.suites.neighbours.reading import read_profile
from slmsql.suites.neighbours.values import expected
from tests.neighbours import broken, database, filled, neighbours_of, rows


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


@pytest.mark.parametrize(
    ("towns", "like", "parts"),
    [
        (["Oslo", "Bern"], "Oslo%", False),
        (["Oslo", "Oslo Nord"], "Oslo%", True),
        (["Oslo", "Bern"], "oslo", False),
        (["Oslo", "BERN", "bern"], "oslo", True),
    ],
)
def test_texts_that_contain_the_constant_or_differ_in_case_occur_only_if_the_original_has_such(
    towns, like, parts, executor, tmp_path
):
    values = ", ".join(f"({number}, '{town}')" for number, town in enumerate(towns * 3))
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, town TEXT); INSERT INTO t VALUES {values};"
    path = database(tmp_path, script)
    gold = "SELECT id FROM t WHERE town = 'Oslo'"
    trial = neighbours_of(path, gold, executor, tmp_path)
    pairs = [Pair(p, f"SELECT id FROM t WHERE town LIKE '{like}'", gold) for p in trial.killed]
    verdicts = executor.judge(pairs, match=Match.BIRD)
    assert any(not verdict.correct for verdict in verdicts) is parts


def test_named_rows_such_as_continents_are_not_made_up(executor, tmp_path):
    script = (
        "CREATE TABLE continent (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO continent VALUES"
        " (1, 'Asia'), (2, 'Europe'), (3, 'Africa'), (4, 'America'), (5, 'Oceania');"
    )
    trial = neighbours_of(
        database(tmp_path, script), "SELECT name FROM continent WHERE id > 2", executor, tmp_path
    )
    names = {name for path in trial.killed for (name,) in rows(path, "SELECT name FROM continent")}
    assert names <= {"Asia", "Europe", "Africa", "America", "Oceania"}


def test_texts_that_always_occur_in_another_table_do_so_in_neighbours(executor, tmp_path):
    states = ["NY", "CA", "TX", "OH", "FL", "WA"]
    area = ", ".join(f"({number}, '{state}')" for number, state in enumerate(states * 2))
    votes = ", ".join(f"({number}, '{states[number % 5]}')" for number in range(12))
    path = database(
        tmp_path,
        "CREATE TABLE area (code INTEGER PRIMARY KEY, state TEXT);"
        "CREATE TABLE vote (id INTEGER PRIMARY KEY, state TEXT);"
        f"INSERT INTO area VALUES {area}; INSERT INTO vote VALUES {votes};",
    )
    trial = neighbours_of(path, "SELECT state FROM vote WHERE id > 5", executor, tmp_path)
    for neighbour in trial.killed:
        assert not rows(neighbour, "SELECT state FROM vote EXCEPT SELECT state FROM area")


TEAMS = """
CREATE TABLE side (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE team (id INTEGER PRIMARY KEY, side_id INTEGER REFERENCES side (id));
INSERT INTO side VALUES (1, 'Good'), (2, 'Bad'), (3, 'Neutral'), (4, '-');
INSERT INTO team VALUES (1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 1), (7, 2), (8, 4);
"""


@pytest.mark.parametrize(
    ("gold", "evidence", "stay"),
    [
        ("SELECT count(*) FROM team JOIN side ON side_id = side.id WHERE name = 'Bad'", "", False),
        ("SELECT count(*) FROM team JOIN side ON side_id = side.id WHERE name = 'Bad'",
         "bad refers to side_id = 2", True),
        ("SELECT count(*) FROM team WHERE side_id = 2", "", True),
    ],
)  # fmt: skip
def test_numbers_stay_with_their_names_if_query_or_evidence_have_them(
    gold, evidence, stay, executor, tmp_path
):
    path = database(tmp_path, TEAMS)
    (folder := tmp_path / "neighbours").mkdir()
    trial = try_neighbours(gold, read_profile(path), executor, folder, evidence=evidence, rounds=2)
    pairs = {pair for path in trial.killed for pair in rows(path, "SELECT id, name FROM side")}
    assert pairs
    assert (pairs <= {(1, "Good"), (2, "Bad"), (3, "Neutral"), (4, "-")}) is stay


HEROES = """
CREATE TABLE hero (number INTEGER, name TEXT, height REAL, alive INTEGER);
CREATE TABLE face (number INTEGER PRIMARY KEY REFERENCES hero (number), eyes TEXT);
CREATE TABLE power (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE hero_power (
    hero INTEGER REFERENCES hero (number), power INTEGER REFERENCES power (id)
);
CREATE TABLE fight (winner INTEGER);
"""
KEPT_RULES = {
    "a row number repeats": "SELECT 1 FROM hero GROUP BY number HAVING count(*) > 1",
    "a hero has no face": "SELECT number FROM hero EXCEPT SELECT number FROM face",
    "a pair repeats": "SELECT 1 FROM hero_power GROUP BY hero, power HAVING count(*) > 1",
    "a name of two repeats": "SELECT 1 FROM power GROUP BY name HAVING count(*) > 1",
    "a height has a fraction": "SELECT 1 FROM hero WHERE height != CAST(height AS INTEGER)",
    "a height is below zero": "SELECT height FROM hero WHERE height < 0",
    "a flag is neither 0 nor 1": "SELECT alive FROM hero WHERE alive NOT IN (0, 1)",
    "a winner is no hero": "SELECT winner FROM fight EXCEPT SELECT number FROM hero",
}


def test_rules_that_the_original_shows_without_declaring_them_hold(executor, tmp_path):
    heroes = [(n, f"Hero {n}", float(n % 7 * 10), n % 2) for n in range(1, 31)]
    faces = [(n, ("blue", "green")[n % 2]) for n in range(1, 31)]
    script = filled(
        HEROES,
        {
            "hero": heroes,
            "face": faces,
            "power": [(1, "flight"), (2, "speed")],
            "hero_power": [(n, 1 + n % 2) for n in range(1, 21)],
            "fight": ["(3)", "(3)", "(8)"],
        },
    )
    gold = (
        "SELECT face.eyes, power.name FROM hero JOIN face ON hero.number = face.number"
        " JOIN hero_power ON hero.number = hero_power.hero"
        " JOIN power ON hero_power.power = power.id JOIN fight ON fight.winner = hero.number"
        " WHERE hero.height > 0 AND hero.height != 10.5 AND hero.alive = 1"
    )
    trial = neighbours_of(database(tmp_path, script), gold, executor, tmp_path)
    assert trial.killed
    assert broken(trial, KEPT_RULES) == set()
    assert any(count for count in trial.rows.values())


GEOGRAPHY = """
CREATE TABLE state (name TEXT, capital TEXT);
CREATE TABLE border (state TEXT, neighbour TEXT);
CREATE TABLE river (river TEXT, through TEXT);
CREATE TABLE person (number INTEGER PRIMARY KEY, town TEXT);
CREATE TABLE governor (person INTEGER REFERENCES person (number), town TEXT, pay INTEGER);
CREATE TABLE census (area INTEGER, year INTEGER, people INTEGER);
CREATE TABLE lifter (name TEXT, snatch REAL, jerk REAL, total REAL);
"""
KEPT_RELATIONS = {
    "a state borders another one, but not the other way round":
        "SELECT state, neighbour FROM border EXCEPT SELECT neighbour, state FROM border",
    "two states border each other twice":
        "SELECT 1 FROM border GROUP BY state, neighbour HAVING count(*) > 1",
    "a river runs through no state": "SELECT through FROM river EXCEPT SELECT name FROM state",
    "a person is governor twice": "SELECT 1 FROM governor GROUP BY person HAVING count(*) > 1",
    "a governor lives elsewhere than the same person":
        "SELECT 1 FROM governor AS g JOIN person ON person = number WHERE g.town != person.town",
    "an area has two censuses in a year":
        "SELECT 1 FROM census GROUP BY area, year HAVING count(*) > 1",
    "a total is not the sum of its parts":
        "SELECT 1 FROM lifter WHERE abs(total - snatch - jerk) > 0.1",
}  # fmt: skip


def test_relations_that_the_original_shows_without_declaring_them_hold(executor, tmp_path):
    ring = [(f"State {n}", f"State {(n + 1) % 12}") for n in range(12)]
    script = filled(
        GEOGRAPHY,
        {
            "state": [(f"State {n}", f"Capital {n}") for n in range(12)],
            "border": ring + [pair[::-1] for pair in ring],
            "river": [(f"River {n % 4}", f"State {n % 7}") for n in range(14)],
            "person": [(n, f"Town {n % 3}") for n in range(20)],
            "governor": [(n, f"Town {n % 3}", n % 4) for n in range(15)],
            "census": [(n % 8, 1990 + n // 8, n % 3) for n in range(40)],
            "lifter": [
                (f"Lifter {n}", 120.5 + n, 160 + n % 3, 280.5 + n + n % 3) for n in range(9)
            ],
        },
    )
    gold = "SELECT river FROM river WHERE through = 'State 1'"
    trial = neighbours_of(database(tmp_path, script), gold, executor, tmp_path)
    assert trial.killed
    assert broken(trial, KEPT_RELATIONS) == set()


LIBRARY = """
CREATE TABLE writer (number INTEGER, writer_id INTEGER, name TEXT);
CREATE TABLE book (id INTEGER, writer_id INTEGER, quotes INTEGER, genre TEXT);
CREATE TABLE cover (book_id INTEGER, colour TEXT);
CREATE TABLE quote (quoted_book_id INTEGER, page INTEGER);
CREATE TABLE reader (reader_id INTEGER, joined TEXT);
CREATE TABLE loan (loan_id INTEGER, reader_id INTEGER, lent TEXT, returned TEXT);
"""
KEPT_NAMES = {
    "a writer's number repeats": "SELECT 1 FROM writer GROUP BY writer_id HAVING count(*) > 1",
    "a book has no writer": "SELECT writer_id FROM book EXCEPT SELECT writer_id FROM writer",
    "a book has no cover": "SELECT id FROM book EXCEPT SELECT book_id FROM cover",
    "a book has two covers": "SELECT 1 FROM cover GROUP BY book_id HAVING count(*) > 1",
    "a page quotes a book twice":
        "SELECT 1 FROM quote GROUP BY quoted_book_id, page HAVING count(*) > 1",
    "a book is quoted more or less often than it says":
        "SELECT 1 FROM book WHERE quotes != (SELECT count(*) FROM quote WHERE quoted_book_id = id)",
    "a later reader joined earlier": "SELECT 1 FROM reader AS a JOIN reader AS b"
        " ON a.reader_id < b.reader_id AND a.joined > b.joined",
    "a moment has no time": "SELECT 1 FROM reader WHERE length(joined) != 16",
    "a book comes back before it is lent": "SELECT 1 FROM loan WHERE lent > returned",
    "a genre is spelt as the query does": "SELECT 1 FROM book WHERE genre = 'crime'",
}  # fmt: skip


def test_rules_that_few_rows_and_the_names_of_columns_show_hold(executor, tmp_path):
    quotes = [3, 2, 2, 1, 0]
    script = filled(
        LIBRARY,
        {
            "writer": [(n % 4 + 7, n, f"Writer {n}") for n in range(5)],
            "book": [(n, n % 3, quotes[n], ("Crime", "Myth")[n % 2]) for n in range(5)],
            "cover": [(n, ("red", "blue")[n % 2]) for n in (3, 1, 4, 0, 2)],
            "quote": [(n, page) for n in range(5) for page in range(quotes[n])],
            "reader": [(n, f"2020-0{n}-11 1{n}:30") for n in range(1, 9)],
            "loan": [(n, n % 8 + 1, f"2021-0{n % 5 + 1}-01", f"2021-0{n % 5 + 3}-01")
                     for n in range(16)],
        },
    )  # fmt: skip
    gold = (
        "SELECT writer.name, cover.colour, loan.lent FROM book JOIN writer USING (writer_id)"
        " JOIN cover ON cover.book_id = book.id, reader JOIN loan USING (reader_id)"
        " WHERE lower(book.genre) LIKE '%crime%' AND book.quotes > 1"
        " AND reader.joined >= '2020-04-01' AND loan.returned > '2021-04-01'"
    )
    trial = neighbours_of(database(tmp_path, script), gold, executor, tmp_path)
    assert trial.killed
    assert broken(trial, KEPT_NAMES) == set()
    assert any(count for count in trial.rows.values())


def test_a_constant_beside_a_function_of_a_column_is_no_value_of_it(executor, tmp_path):
    days = ", ".join(f"('Ann {n}', '200{n % 9}-0{n % 7 + 1}-11')" for n in range(30))
    path = database(
        tmp_path, f"CREATE TABLE visit (name TEXT, day TEXT); INSERT INTO visit VALUES {days};"
    )
    gold = "SELECT name FROM visit WHERE strftime('%Y', day) = '2006'"
    trial = neighbours_of(path, gold, executor, tmp_path)
    assert trial.killed
    assert not [
        1 for neighbour in trial.killed if rows(neighbour, "SELECT 1 FROM visit WHERE day = '2006'")
    ]


def test_rows_that_mirror_each_other_by_habit_may_do_otherwise(executor, tmp_path):
    ways = [(n % 5, f"Port {n % 6}", f"Port {(n + 1) % 6}") for n in range(12)]
    back = [(price + 1, there, here) for price, here, there in ways]
    path = database(
        tmp_path,
        "CREATE TABLE flight (price INTEGER, source TEXT, target TEXT);"
        f"INSERT INTO flight VALUES {', '.join(map(str, ways + back))};",
    )
    gold = "SELECT count(*) FROM flight WHERE source = 'Port 1'"
    trial = neighbours_of(path, gold, executor, tmp_path)
    assert {"column"} <= {trial.mutants[n].kind for s in trial.killed.values() for n, _ in s}


LEAGUE = """
CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT, founded TEXT, place INTEGER);
CREATE TABLE match (
    id INTEGER PRIMARY KEY, home INTEGER REFERENCES team (id), away INTEGER REFERENCES team (id),
    played TEXT, status TEXT, goals INTEGER
);
CREATE TABLE player (
    id INTEGER PRIMARY KEY, name TEXT, captain INTEGER REFERENCES player (id), goals INTEGER
);
CREATE TABLE contract (
    id INTEGER PRIMARY KEY, player INTEGER REFERENCES player (id), name TEXT, pay INTEGER,
    months INTEGER, total INTEGER
);
CREATE TABLE account (number INTEGER PRIMARY KEY, holder TEXT);
CREATE TABLE transfer (
    id INTEGER PRIMARY KEY, account_id INTEGER, amount INTEGER, payer TEXT
);
CREATE TABLE goal (
    match_id INTEGER REFERENCES match (id), number INTEGER, minute INTEGER,
    PRIMARY KEY (match_id, number)
);
"""
KEPT_COMBINATIONS = {
    "a team plays against itself": "SELECT 1 FROM match WHERE home = away",
    "a team plays before it is founded":
        "SELECT 1 FROM match JOIN team ON home = team.id WHERE played < founded",
    "a match still to come has goals":
        "SELECT 1 FROM match WHERE (status = 'open') != (goals IS NULL)",
    "two teams have one place": "SELECT 1 FROM team GROUP BY place HAVING count(*) > 1",
    "a player is his own captain": "SELECT 1 FROM player WHERE captain = id",
    "two players are captains of each other":
        "SELECT 1 FROM player AS a JOIN player AS b ON a.captain = b.id AND b.captain = a.id",
    "a contract names somebody else": "SELECT 1 FROM contract AS c JOIN player AS p"
        " ON c.player = p.id WHERE c.name != p.name",
    "a total is not the product": "SELECT 1 FROM contract WHERE total != pay * months",
    "a contract is for no month": "SELECT 1 FROM contract WHERE months < 1",
    "two rows differ in their number alone":
        "SELECT 1 FROM transfer GROUP BY account_id, amount HAVING count(*) > 1",
    "a transfer is of no account":
        "SELECT account_id FROM transfer EXCEPT SELECT number FROM account",
    "the payer is not the holder of the account":
        "SELECT 1 FROM transfer JOIN account ON account_id = number WHERE payer != holder",
    "a match has a second goal but no first":
        "SELECT 1 FROM goal GROUP BY match_id HAVING min(number) > 1 OR max(number) > count(*)",
    "a goal is in a match still to come":
        "SELECT 1 FROM goal JOIN match ON match_id = match.id WHERE status = 'open'",
}  # fmt: skip


def test_rules_within_a_row_and_between_a_row_and_its_parents_hold(executor, tmp_path):
    pairs = [(home, away) for home in range(1, 7) for away in range(1, 7) if home != away]
    script = filled(
        LEAGUE,
        {
            "team": [(n, f"Team {n}", f"199{n}-01-01", n) for n in range(1, 7)],
            "match": [
                (n, home, away, f"{1995 + n % 9}-05-01", ("open", "over")[n % 2], n % 2 * n or "@")
                for n, (home, away) in enumerate(pairs)
                if 1995 + n % 9 > 1990 + home
            ],
            "player": [(n, f"Player {n}", n // 2 or "@", n * 3 % 5) for n in range(1, 12)],
            "contract": [(n, n % 6 + 1, f"Player {n % 6 + 1}", 40 + n % 4, n % 3 + 1,
                          (40 + n % 4) * (n % 3 + 1)) for n in range(14)],
            "account": [(n * 7, f"Holder {n}") for n in range(1, 6)],
            "transfer": [(n, n % 5 * 7 + 7, n, f"Holder {n % 5 + 1}") for n in range(9)],
            "goal": [(n, k, (n * 7 + k * 11) % 90)
                     for n in (1, 3, 5, 7, 9, 11) for k in range(1, n % 3 + 2)],
        },
    ).replace("'@'", "NULL")  # fmt: skip
    gold = (
        "SELECT team.name, played, player.name, contract.total, amount FROM match"
        " JOIN team ON home = team.id LEFT JOIN goal ON match_id = match.id,"
        " player JOIN contract ON player = player.id, transfer"
        " WHERE (match.goals > 5 OR played > '1999-05-01' OR team.founded >= '1992-01-01')"
        " AND (team.place < 4 OR status = 'over') AND contract.months >= 1"
        " AND (contract.pay > 41 OR contract.total = 82 OR player.captain > 3)"
    )
    trial = neighbours_of(database(tmp_path, script), gold, executor, tmp_path)
    assert trial.killed
    assert broken(trial, KEPT_COMBINATIONS) == set()
    assert any(count for count in trial.rows.values())


def test_a_largest_number_that_repeats_is_not_exceeded(tmp_path):
    rates = [(n, rate, n * 3) for n, rate in enumerate([100, 40, 100, 75, 100, 60])]
    path = database(
        tmp_path,
        "CREATE TABLE school (id INTEGER PRIMARY KEY, rate INTEGER, pupils INTEGER);"
        f"INSERT INTO school VALUES {', '.join(map(str, rates))};",
    )
    (school,) = read_profile(path).tables
    assert expected([0, 99, 101], school, 1) == [99]
    assert expected([-1, 0, 99], school, 2) == [0, 99]
