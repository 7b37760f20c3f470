"""Predictions in the formats that the benchmarks accept."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from slmsql.files import write_json, write_text
from slmsql.questions.question import Question
from slmsql.sql.tokens import tokens

SEPARATOR = "\t----- bird -----\t"
NO_ANSWER = "SELECT 1"  # for a question without a prediction: the formats require SQL


def write_submission(
    questions: Sequence[Question], predictions: Mapping[str, str], folder: Path
) -> list[Path]:
    """Write BIRD's JSON and Spider's text file, in the order of the questions.

    Returns:
        The files written.
    """
    lines = [one_line(predictions.get(question.id, "")) or NO_ANSWER for question in questions]
    bird, spider = folder / "predict_bird.json", folder / "predict_spider.sql"
    content = {
        str(number): f"{sql}{SEPARATOR}{question.db_id}"
        for number, (question, sql) in enumerate(zip(questions, lines, strict=True))
    }
    write_json(bird, content)
    write_text(spider, "".join(f"{sql}\n" for sql in lines))
    return [bird, spider]


def one_line(sql: str) -> str:
    """The statement on one line, without comments. Line breaks in literals become spaces."""
    parts = [" " if kind == "space" else text for kind, text in tokens(sql)]
    joined = "".join(part for i, part in enumerate(parts) if part != " " or parts[i - 1] != " ")
    return " ".join(joined.split("\n")).replace("\r", " ").replace("\t", " ").strip(" ;")
