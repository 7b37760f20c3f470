"""The reader of statements and the masks over tokens: what may come next, and what may not."""

import sqlite3

import pytest

from scripts.bench.grammar import random_report
from slmsql.execution.database import create_database
from slmsql.grammar.constraint import ANSWER
from slmsql.grammar.ebnf import select_grammar
from slmsql.grammar.lexemes import END, last, split
from slmsql.grammar.masks import Masks
from slmsql.grammar.names import Names
from slmsql.grammar.vocabulary import Vocabulary, bits, indices
from slmsql.prompt.build import Layout
from slmsql.schema.reading import read_schema

SCRIPT = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);
CREATE TABLE song (song_id INTEGER, singer_id INTEGER, title TEXT, sales REAL);
CREATE TABLE "order" ("first name" TEXT, "2nd" TEXT, "größe" TEXT, "a""b" TEXT, "select" TEXT);
"""
# Every character of ASCII and some longer tokens, as a tokenizer has them.
LONGER = """SELECT|, name|.name| FROM| singer| song| WHERE| age| T1| T2| AS| JOIN| ON| count|(|)|
.|,| ,| =| <|'|"| ORDER| BY| GROUP| LIMIT| 1| id|.id| title|.title| sales| order| UNION| IN| AND|
 max|(*| *|[|]|`| (|),|);|;| DISTINCT| singer_id|.age| ""|' | t| HAVING| DESC| LEFT| using| CASE|
 WHEN| THEN| END| ELSE| EXISTS| NOT| NULL| IS| LIKE| BETWEEN| EXCEPT| nested| WITH| OR"""
TOKENS = [bytes([byte]) for byte in range(256)] + [
    token.encode() for token in LONGER.replace("\n", "").split("|")
]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("db") / "music.sqlite"
    create_database(path, SCRIPT)
    return path


@pytest.fixture(scope="module")
def schema(database):
    return read_schema(database, sample_values=0)


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(TOKENS)


@pytest.fixture(scope="module")
def masks(schema, vocabulary):
    return Masks(Names.of(schema).as_bytes(), vocabulary, in_answer=False)


def refused_at(masks, sql):
    """The text before the first lexeme that is refused; None if the statement is accepted."""
    lexemes, rest = split(sql.encode().decode("latin-1"))
    if rest and last(rest):
        lexemes = (*lexemes, last(rest))
    state = masks.binding.start
    for position, lexeme in enumerate([*lexemes, END]):
        after = masks.binding.read(state, lexeme)
        if after is None:
            return " ".join(read.text for read in lexemes[: position + 1])
        state = after
    return None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM singer",
        "select NAME, count(*) from SINGER group by name having count(*) > 1 order by 2 limit 3",
        "SELECT T2.title FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id WHERE age > 30",
        "SELECT s.name FROM singer s LEFT JOIN song ON s.id = song.singer_id WHERE title IS NULL;",
        'SELECT name FROM singer WHERE name = "Ann" AND age NOT BETWEEN 1 + 1 AND 5',
        "SELECT name FROM singer WHERE id IN (SELECT singer_id FROM song WHERE sales > age)",
        "SELECT title FROM song UNION SELECT name FROM singer ORDER BY title",
        "WITH top AS (SELECT singer_id, sum(sales) AS total FROM song GROUP BY singer_id) "
        "SELECT name FROM top JOIN singer ON id = singer_id WHERE total > 5",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9) SELECT x "
        "FROM n",
        "SELECT avg(n) FROM (SELECT count(*) AS n FROM song GROUP BY singer_id)",
        "SELECT name, rank() OVER (PARTITION BY age ORDER BY id DESC) AS r FROM singer ORDER BY r",
        "SELECT sum(sales) FILTER (WHERE title LIKE 'A%') FROM song",
        "SELECT CASE WHEN age > 30 THEN 'old' ELSE 'young' END, CAST(age AS REAL) / 2 FROM singer",
        "SELECT 1 -- the number\n",
        "SELECT name FROM singer WHERE (id, age) IN (SELECT singer_id, max(sales) FROM song)",
        "SELECT name FROM singer WHERE (id, age) > (1, 2) AND (age, id) = (SELECT 1, 2) OR age",
        "WITH BestSongs AS (SELECT title AS t FROM song) SELECT bsg.t FROM BestSongs bsg",
        "SELECT max(max_age), name FROM (SELECT age AS max_age, name FROM singer)",
        "SELECT s.title FROM singer s JOIN song s ON s.id = s.singer_id WHERE s.age > 30",
        "SELECT S.* FROM singer AS s JOIN song AS s",
        'SELECT o.[2nd], "O".größe FROM singer AS "o" JOIN "order" AS [o] WHERE `o`.age > 30',
        "SELECT name FROM singer s WHERE id IN (SELECT s.id FROM song s JOIN singer s ON s.sales)",
        "SELECT s.title FROM singer s JOIN singer ON (SELECT s.age) JOIN song s ORDER BY s.age",
        """SELECT "first name", `2nd`, [größe], "a""b", "select" FROM "order" """,
    ],
)
def test_a_statement_that_sqlite_compiles_is_accepted(masks, database, sql):
    with sqlite3.connect(database) as connection:
        connection.execute(f"EXPLAIN {sql}")
    assert refused_at(masks, sql) is None


@pytest.mark.parametrize(
    "sql",  # the bar stands behind the first lexeme that is refused
    [
        "SELECT name FROM singers| WHERE",
        "SELECT stage_name FROM| singer",
        "SELECT T1.title FROM singer AS T1| WHERE",
        "SELECT T1.id FROM singer AS T1 WHERE T1.title| = 1",
        "SELECT T2.id FROM singer AS T1 WHERE| T1.id = 1",
        "SELECT name FROM singer WHERE max(| age) > 1",
        "SELECT name FROM singer WHERE id = (SELECT id,| age",
        "SELECT name FROM singer UNION SELECT id,| age",
        "SELECT name FROM singer ORDER BY 2| DESC",
        "SELECT round(1, 2,| 3) FROM singer",
        "SELECT name, FROM| singer",
        "SELECT * LIMIT| 1",
        "SELECT name FROM singer WHERE age = (SELECT max(age) FROM song )| AND id = 1",
        "SELECT name FROM singer WHERE (id, age) +| 1",
        "SELECT name FROM singer WHERE (id, age) = (1)|",
        "SELECT name FROM singer WHERE (id, age) IN (SELECT id FROM| singer)",
        "SELECT name FROM singer WHERE (id, age) = (1, 2) -| 1",
        "SELECT name FROM singer WHERE id BETWEEN 1 AND (1,| 2)",
        "SELECT rank() FROM| singer",
        "DELETE| FROM singer",
        "SELECT 1; DELETE| FROM singer",
        "WITH song AS (SELECT 1 FROM song| ) SELECT 1",
        "WITH r AS (SELECT id FROM singer EXCEPT SELECT id FROM r| ) SELECT 1",
        "SELECT name FROM singer UNION SELECT title FROM song ORDER BY name.| x",
        "SELECT title FROM singer JOIN song ON id = singer_id JOIN singer| AS x",
        "SELECT CAST(age AS INT AS| REAL) FROM singer",
        "SELECT lag(rank(| ) OVER ()) OVER () FROM singer",
        "SELECT sum(id) OVER (RANGE 1| PRECEDING) FROM singer",
        "SELECT s.title FROM singer s WHERE| s.age > 30",
        "SELECT s.title FROM singer s ;|",
        "SELECT s.title FROM singer s RIGHT| JOIN song s",
        "SELECT s.title FROM singer s JOIN song s ON s.x|",
        "SELECT 1 FROM song s WHERE song_id IN (SELECT s.title FROM singer s )|",
        "SELECT s.id FROM singer s JOIN singer s|",
        "SELECT T1.id FROM singer T1 JOIN song T1|",
        "SELECT EXISTS (SELECT s.* FROM song )| FROM singer s",
        'WITH singer AS (WITH song AS (WITH "order" AS (SELECT t1.| id',
        "SELECT id FROM singer s WHERE EXISTS (SELECT 1 FROM song GROUP BY s.| age)",
    ],
)
def test_a_statement_is_refused_at_its_first_fault(masks, sql):
    before, _, after = sql.partition("|")
    lexemes, _ = split(f"{before} ")
    assert refused_at(masks, f"{before} {after}") == " ".join(read.text for read in lexemes)


@pytest.fixture(scope="module")
def alike(tmp_path_factory, vocabulary):
    """Tables that share columns, and their masks."""
    path = tmp_path_factory.mktemp("db") / "alike.sqlite"
    create_database(path, "CREATE TABLE a (id, x); CREATE TABLE b (id, y); CREATE TABLE c (id)")
    return path, Masks(Names.of(read_schema(path)), vocabulary, in_answer=False)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT x, y FROM a JOIN b USING (id) WHERE id = 1",
        "SELECT a.id, x, y FROM a JOIN b",
        "SELECT n.y FROM a n JOIN c ON n.x = c.id JOIN b n ON n.x = n.y WHERE (SELECT n.x)",
        "SELECT n.x FROM a n JOIN (SELECT id, y AS z FROM b) AS n WHERE n.z",
    ],
)
def test_a_column_that_one_source_has_is_accepted(alike, sql):
    path, masks = alike
    with sqlite3.connect(path) as connection:
        connection.execute(f"EXPLAIN {sql}")
    assert refused_at(masks, sql) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SELECT x, y FROM a JOIN b WHERE id =", "1"),
        ("SELECT n.y FROM a n JOIN b n WHERE n.id", ""),
        ("SELECT n.y FROM a n JOIN b n ON n.id", ""),
        ("SELECT n.id FROM a n JOIN b n", ""),
        ("SELECT (SELECT n.id) FROM a n JOIN b n", ""),
        ("SELECT x FROM a n JOIN c ON n.id = c.id JOIN b n", ""),
        ("SELECT n.y FROM a n JOIN c ON (SELECT n.id )", "= 1 JOIN b n"),
        ("SELECT * FROM a n JOIN b n", ""),
        ("SELECT n.* FROM a n JOIN b n", ""),
    ],
)
def test_an_ambiguous_column_is_refused(alike, before, after):
    path, masks = alike
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.OperationalError, match="ambi"):
        connection.execute(f"EXPLAIN {before} {after}")
    lexemes, _ = split(f"{before} ")
    assert refused_at(masks, f"{before} {after}") == " ".join(read.text for read in lexemes)


def test_no_alias_is_given_behind_which_no_column_could_be_read(alike):
    """All columns of c are in b, which n waits for."""
    _, masks = alike
    assert refused_at(masks, "SELECT n.y FROM c n JOIN b n") == "select n . y from c n"


def test_masks_offer_behind_a_shared_alias_what_one_table_has(alike, vocabulary):
    _, masks = alike
    text = "SELECT n.y FROM a n JOIN b n WHERE n."
    assert written(masks, vocabulary, f"{text}x = n.y")
    assert not written(masks, vocabulary, f"{text}i", to_the_end=False)


def written(masks, vocabulary, text, *, to_the_end=True):
    """Whether each piece of a text is in the mask, as single characters."""
    state, rest = masks.binding.start, ""
    for character in text.encode().decode("latin-1"):
        if not masks.mask(state, rest) >> ord(character) & 1:
            return False
        state, rest = masks.read(state, rest + character)
    return masks.may_end(state, rest) or not to_the_end


def test_masks_allow_a_statement_character_by_character(masks, vocabulary):
    assert written(masks, vocabulary, "SELECT T1.name FROM singer AS T1 WHERE T1.age <= 30")
    assert written(masks, vocabulary, "SELECT \"größe\" FROM \"order\" WHERE [2nd] = 'it''s';")
    assert written(masks, vocabulary, 'SELECT name FROM singer WHERE name = "Ann"')


@pytest.mark.parametrize(
    "text",
    ['"', "SELECT namex", "SELECT name FROM singers", "SELECT T1.x", "SELEC ", "SELECT [qqq", "x"],
)
def test_masks_block_the_character_at_which_a_name_goes_wrong(masks, vocabulary, text):
    assert written(masks, vocabulary, text[:-1], to_the_end=False)
    assert not written(masks, vocabulary, text, to_the_end=False)


def test_a_token_may_end_within_a_keyword_where_an_alias_could_stand(masks):
    state, rest = masks.read(masks.binding.start, "SELECT name FROM singer")
    assert masks.mask(state, rest) >> TOKENS.index(b" OR") & 1


def test_a_column_is_offered_behind_a_cte_that_names_itself(masks, vocabulary):
    recursive = "WITH r(x) AS (SELECT 1 UNION SELECT r.x + 1 FROM r) SELECT x FROM r"
    assert written(masks, vocabulary, recursive)


def test_usual_names_of_computed_columns_are_offered_before_from(masks, vocabulary):
    counted = "FROM (SELECT count(*) AS {0} FROM song GROUP BY singer_id)"
    assert written(masks, vocabulary, "SELECT num " + counted.format("num"))
    assert written(masks, vocabulary, "SELECT avg(song_count) " + counted.format("song_count"))
    assert not written(masks, vocabulary, "SELECT song_c", to_the_end=False)


@pytest.mark.parametrize("word", ["", "AS "])
def test_an_alias_may_begin_like_one_that_has_been_given(masks, vocabulary, word):
    joined = f"FROM singer {word}s JOIN song {word}sg ON s.id = sg.singer_id"
    assert written(masks, vocabulary, f"SELECT s.name, sg.title {joined}")


@pytest.mark.parametrize("alias", ["AS T1", "T1"])
def test_an_alias_that_waits_for_other_columns_is_blocked_where_it_would_be_complete(masks, alias):
    text = f"SELECT T2.name, T1.title FROM singer {alias}"
    state, rest = masks.read(masks.binding.start, text[:-1])
    mask = masks.mask(state, rest)
    assert not mask >> ord("1") & 1  # or the word would go on, as in T1JOIN
    assert mask >> ord("2") & 1


def test_a_numbered_alias_that_waits_comes_soon_after_the_next_number(masks, vocabulary):
    """Or a model goes on with T4, T5 and so on until its answer is cut off."""
    skipped = "SELECT T2.title FROM singer AS T1 JOIN singer AS T3 ON T1.id = T3.id"
    assert written(masks, vocabulary, f"{skipped} JOIN song AS T2 ON T1.id = T2.singer_id")
    assert not written(masks, vocabulary, f"{skipped} JOIN si", to_the_end=False)
    assert not written(masks, vocabulary, f"{skipped} JOIN song AS T4", to_the_end=False)


def test_lower_numbers_may_come_before_a_numbered_alias_that_waits(masks, vocabulary):
    skipped = "SELECT T3.title FROM singer AS T1 JOIN singer AS T4 ON T1.id = T4.id JOIN singer AS"
    assert written(masks, vocabulary, f"{skipped} T2 ON T2.id = T1.id JOIN song AS T3")
    assert not written(masks, vocabulary, f"{skipped} T5", to_the_end=False)
    assert not written(masks, vocabulary, f"{skipped} T2 JOIN si", to_the_end=False)


def test_random_statements_compile(database):
    report = random_report([database], 8, 5)
    assert ": 100.00% compile (no error)" in report, report


@pytest.mark.slow
def test_random_statements_over_real_databases_compile(benchmarks):
    databases = sorted((benchmarks / "spider" / "database").glob("*/*.sqlite"))[::60]
    report = random_report(databases, 6, 5)
    assert "over 3 databases: 100.00% compile" in report, report


def test_sets_of_tokens_are_read_back_in_order():
    assert indices(bits([5, 0, 77])) == [0, 5, 77]
    assert indices(0) == []


def test_the_grammar_for_servers_accepts_names_of_the_database_in_any_case_and_quotes(schema):
    xgrammar = pytest.importorskip("xgrammar")

    def accepts(text, layout=Layout.SQL):
        grammar = xgrammar.Grammar.from_ebnf(select_grammar(schema, layout))
        return xgrammar.testing._is_grammar_accept_string(grammar, text)

    assert accepts("select NAME from [Singer] where `age` > 3 order by name")
    assert accepts("SELECT T1.title FROM song AS T1")
    assert accepts('SELECT "first name" FROM "order"')
    assert not accepts("SELECT name FROM singers")
    assert not accepts("SELECT stage_name FROM singer")
    assert accepts(f"Think <b> so.{ANSWER}SELECT 1</answer>", Layout.THINK)
    assert not accepts("SELECT 1", Layout.THINK)
