"""Questions on databases of several engines, sampled, voted on and scored as a user does it."""

import json

from slmsql.files import read_jsonl, write_jsonl
from tests.in_process import run_here
from tests.running_server import ANSWERS, answer
from tests.stand_in import Server


def sampled_voted_scored(databases, folder):
    """Ask one question on each database; returns the report and all that was written or printed.

    Args:
        databases: with the tables artist and album of the tests' shop.
        folder: for the files.
    """
    (gold,) = ANSWERS["albums"]
    questions, candidates = folder / "questions.jsonl", folder / "candidates.jsonl"
    predictions, score = folder / "predictions.jsonl", folder / "score"
    write_jsonl(
        questions,
        (
            {"id": f"q{n}", "question": "albums?", "database": str(database), "gold_sql": gold}
            for n, database in enumerate(databases)
        ),
    )
    model = Server(always=answer)
    source = ("--questions", questions)
    steps = [
        ("inference/generate.py", *source, "--model", "m", "--endpoints", model.url, "--n", 2,
         "--output", candidates),
        ("inference/vote.py", *source, "--candidates", candidates, "--output", predictions),
        ("scripts/evaluate.py", *source, "--predictions", predictions, "--candidates", candidates,
         "--output", score),
    ]  # fmt: skip
    printed = []
    for step in steps:
        done = run_here(*step)
        assert done.returncode == 0, done.stderr
        printed += [done.stdout, done.stderr]
    model.shutdown()
    assert len(list(read_jsonl(candidates))) == len(databases)
    written = [file.read_text() for file in folder.rglob("*") if file.suffix in TEXTS]
    report = json.loads((score / "report.json").read_text())
    return report, "\n".join([*printed, *written])


TEXTS = (".json", ".jsonl", ".csv", ".sql")
