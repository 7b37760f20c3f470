"""The judge on real gold queries and on the predictions of real models."""

import json
import multiprocessing
from collections import Counter

import pytest

from slmsql.execution import Executor, Limits, Pair
from slmsql.match import Match
from slmsql.questions.question import with_databases
from slmsql.questions.reading import read_questions

GOLD = [
    # questions, databases, how many have a database, gold queries that do not run
    ("spider/dev.json", "spider/database", 972, {}),
    ("spider/train_spider.json", "spider/database", 6804, {
        "no such table: Ref_Company_Types": 1,
        "ORDER BY clause should come after INTERSECT not before": 2,
    }),
    ("spider-syn/dev.json", "spider/database", 972, {}),
    ("spider-realistic/dev.json", "spider/database", 476, {}),
    ("spider-dk/dev.json", "spider/database", 346, {}),
    ("spider-dk/dev.json", "spider-dk/database", 127, {'near ".": syntax error': 1}),
    ("bird/dev/dev.json", "bird/dev/dev_databases", 129, {}),
    ("bird/train/train.json", "bird/train/train_databases", 732, {}),
    ("geography/dev.json", "geography/database", 872, {}),
]  # fmt: skip
# Execution accuracy in percent on the 972 questions of Spider dev whose database is here.
CODES = {
    Match.BIRD: {"1b": 76.4, "3b": 80.8, "7b": 83.0, "15b": 82.8},
    Match.SPIDER: {"1b": 78.4, "3b": 83.5, "7b": 85.6, "15b": 84.9},
}


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=2) as executor:
        yield executor


@pytest.fixture(scope="module")
def spider(benchmarks):
    questions = read_questions(benchmarks / "spider" / "dev.json", benchmarks / "spider/database")
    return with_databases(questions)[0]


def predictions(file):
    with open(file, encoding="utf-8") as lines:
        return {record["id"]: record["sql"] for record in map(json.loads, lines)}


def pairs(questions, file):
    sql = predictions(file)
    return [Pair(q.database, sql.get(q.id), q.gold_sql) for q in questions]


@pytest.mark.slow
@pytest.mark.parametrize(("questions", "databases", "count", "broken"), GOLD)
def test_gold_is_correct_by_itself_in_every_mode(
    benchmarks, executor, questions, databases, count, broken
):
    asked, _ = with_databases(read_questions(benchmarks / questions, benchmarks / databases))
    assert len(asked) == count
    for match in Match:
        verdicts = executor.judge(
            [Pair(q.database, q.gold_sql, q.gold_sql) for q in asked], match=match
        )
        assert Counter(verdict.gold.error for verdict in verdicts if not verdict.correct) == broken
        assert not any(verdict.correct is False for verdict in verdicts)


@pytest.mark.parametrize("match", list(CODES))
def test_accuracy_of_published_models_is_what_the_official_evaluator_says(
    benchmarks, executor, spider, match
):
    scores = {}
    for size in CODES[match]:
        file = benchmarks / "predictions" / f"spider_dev__codes-{size}.jsonl"
        verdicts = executor.judge(pairs(spider, file), match=match)
        scores[size] = round(100 * sum(v.correct is True for v in verdicts) / len(verdicts), 1)
    assert len(spider) == 972
    assert scores == CODES[match]


@pytest.mark.slow
def test_every_verdict_of_the_official_bird_evaluator_is_repeated(benchmarks, executor):
    database = benchmarks / "bird" / "dev" / "dev_databases" / "superhero" / "superhero.sqlite"
    with open(benchmarks / "oracle" / "bird_superhero_official_ex.jsonl", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    verdicts = executor.judge(
        [Pair(database, record["pred"], record["gold"]) for record in records], match=Match.BIRD
    )
    said = [bool(record["official_ex"]) for record in records]
    agree = [bool(v.correct) is s for v, s in zip(verdicts, said, strict=True)]
    assert (sum(agree), len(agree)) == (2974, 2974)


def verdict_files(judged, match, workers):
    """What a program would write for each prediction set, in one text."""
    limits = Limits(steps=1_000_000)  # low enough that some statements run into it
    with Executor(workers=workers, limits=limits) as executor:
        verdicts = executor.judge(judged, match=match)
    return "\n".join(
        repr((v.correct, v.predicted.status, v.predicted.steps, v.predicted.digest, v.gold.steps))
        for v in verdicts
    )


def work_forever(started):
    started.release()
    while True:
        pass


@pytest.mark.slow
def test_verdicts_do_not_depend_on_workers_or_load(benchmarks, spider):
    heroes = [
        question
        for question in read_questions(
            benchmarks / "bird/dev/dev.json", benchmarks / "bird/dev/dev_databases"
        )
        if question.db_id == "superhero"
    ]
    folder = benchmarks / "predictions"
    sets = [pairs(spider, file) for file in sorted(folder.glob("spider_dev__*"))]
    sets += [pairs(heroes, file) for file in sorted(folder.glob("bird_dev__*"))]
    assert (len(sets), len(spider), len(heroes)) == (81, 972, 129)
    judged = [pair for one in sets for pair in one]

    for match in Match:
        idle = verdict_files(judged, match, 2)
        assert "timeout" in idle
        assert verdict_files(judged, match, 1) == idle
        assert verdict_files(judged, match, 8) == idle
    assert loaded(verdict_files, judged, Match.STRICT, 2) == idle


def loaded(function, *arguments):
    """Call it while twice as many processes as processors work."""
    context = multiprocessing.get_context("fork")
    started = context.Semaphore(0)
    busy = [
        context.Process(target=work_forever, args=(started,), daemon=True)
        for _ in range(2 * multiprocessing.cpu_count())
    ]
    try:
        for process in busy:
            process.start()
        for _ in busy:
            started.acquire()
        return function(*arguments)
    finally:
        for process in busy:
            process.kill()
            process.join()
