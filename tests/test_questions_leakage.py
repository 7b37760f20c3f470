"""Guards against training on what is evaluated."""

import pytest

from slmsql.errors import InputError
from slmsql.questions.leakage import (
    DENYLISTS,
    overlap,
    read_denylist,
    refuse_evaluation,
    split_by_database,
)
from slmsql.questions.near_duplicates import QuestionIndex
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions


def question(number, text, db_id="d", sql="SELECT 1"):
    return Question(f"q{number}", text, db_id, None, gold_sql=sql)


@pytest.mark.parametrize(
    ("variant", "least"), [("spider-syn", 90), ("spider-realistic", 98), ("spider-dk", 90)]
)
def test_variants_of_spider_dev_are_recognised_as_its_near_duplicates(benchmarks, variant, least):
    databases = benchmarks / "spider" / "database"
    dev = read_questions(benchmarks / "spider" / "dev.json", databases)
    found = overlap(read_questions(benchmarks / variant / "dev.json", databases), dev)
    assert found.figures()["near_duplicates_percent"] >= least
    assert found.databases


@pytest.mark.slow
def test_spider_train_and_dev_share_no_database_and_little_else(benchmarks):
    databases = benchmarks / "spider" / "database"
    train = read_questions(benchmarks / "spider" / "train_spider.json", databases)
    found = overlap(train, read_questions(benchmarks / "spider" / "dev.json", databases))
    assert found.databases == ()
    assert found.identical_sql == ()
    assert found.figures()["near_duplicates_percent"] < 5


def test_a_synonym_leaves_a_question_near_and_another_form_does_not():
    index = QuestionIndex(
        ["What are the names of all singers?", "How many concerts are there in 2014?"]
        + [f"Which item number {n} is it?" for n in range(50)]
    )
    nearest = index.nearest("What are the names of all the musicians who are singers?")
    assert nearest.position == 0
    assert nearest.similarity > 0.5
    assert index.nearest("zebra") is None
    assert index.nearest("") is None


def test_identical_sql_counts_over_the_same_database_only():
    evaluation = [question(1, "alpha beta", "x", "SELECT  1 ;")]
    assert overlap([question(2, "gamma", "x", "select 1")], evaluation).identical_sql == ("q2",)
    assert overlap([question(2, "gamma", "y", "select 1")], evaluation).identical_sql == ()


@pytest.mark.parametrize("name", ["dev.json", "test.jsonl", "mini_dev_sqlite.json", "dev_new.json"])
def test_evaluation_files_are_refused_unless_told_so(name):
    with pytest.raises(InputError, match="allow_evaluation_split"):
        refuse_evaluation("", f"some/{name}", allowed=False)
    refuse_evaluation("", f"some/{name}", allowed=True)


@pytest.mark.parametrize("name", ["train.json", "develop.json", "testimony.jsonl"])
def test_other_files_are_not_refused(name):
    refuse_evaluation("", name, allowed=False)


def test_the_shipped_denylist_names_databases_of_spider(benchmarks):
    spider = {folder.name.lower() for folder in (benchmarks / "spider" / "database").iterdir()}
    denied = read_denylist("spider_ecommerce")
    assert len(denied) > 15
    assert denied <= spider


def test_an_unknown_denylist_is_named_with_those_there_are(tmp_path):
    with pytest.raises(InputError, match="spider_ecommerce"):
        read_denylist("nope")
    own = tmp_path / "own.txt"
    own.write_text("# mine\nShop # the shop\n\n")
    assert read_denylist(str(own)) == {"shop"}
    assert sorted(DENYLISTS.glob("*.txt"))


def test_splits_have_no_database_in_common_and_depend_on_the_seed_alone():
    questions = [question(n, "t", f"d{n % 20}") for n in range(400)]
    training, held = split_by_database(questions, 0.2, 42)
    assert not {q.db_id for q in training} & {q.db_id for q in held}
    assert len(training) + len(held) == 400
    assert len(held) == 80
    assert split_by_database(questions, 0.2, 42) == (training, held)
    assert split_by_database(questions, 0.2, 43)[1] != held
