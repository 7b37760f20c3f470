"""Figures and verdicts as CSV, for spreadsheets and data frames."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from slmsql.evaluation.metric import Metric
from slmsql.evaluation.outcome import Evaluation
from slmsql.evaluation.report import BREAKDOWNS, breakdown, metrics
from slmsql.files import replacing
from slmsql.match import Match

SCORES_HEAD = ("metric", "by", "group", "value", "n", "low", "high", "databases_low",
               "databases_high")  # fmt: skip
QUESTION_HEAD = ("id", "db_id", "difficulty")


def write_scores_csv(evaluation: Evaluation, path: Path) -> None:
    """Write one row for each figure: every metric, then execution accuracy by each breakdown.

    `low` and `high` are the 95 % interval over questions, `databases_low` and `databases_high` that
    over databases.
    """
    rows = [_score(metric, name) for name, metric in metrics(evaluation)]
    accuracy = f"ex_{evaluation.match.value}"
    for by in BREAKDOWNS:
        rows += [_score(m, accuracy, by, group) for group, m in breakdown(evaluation, by)]
    _write(path, SCORES_HEAD, rows)


def write_questions_csv(evaluation: Evaluation, path: Path) -> None:
    """Write one row for each question: verdicts as 1 or 0, scores, why it is wrong or left out."""
    outcomes = evaluation.outcomes
    modes = list(dict.fromkeys(mode for outcome in outcomes for mode in outcome.correct))
    scores = list(dict.fromkeys(name for outcome in outcomes for name in outcome.scores))
    head = [*QUESTION_HEAD, *(f"ex_{mode.value}" for mode in modes), *scores,
            "error_class", "left_out", "sql", "gold_sql"]  # fmt: skip
    _write(path, head, _question_rows(evaluation, modes, scores))


def _question_rows(
    evaluation: Evaluation, modes: Sequence[Match], scores: Sequence[str]
) -> Iterator[list[object]]:
    for outcome in evaluation.outcomes:
        question = outcome.question
        yield [
            *(question.id, question.db_id, question.difficulty),
            *(_number(outcome.correct.get(mode)) for mode in modes),
            *(_number(outcome.scores.get(name)) for name in scores),
            *(outcome.error_class or "", outcome.left_out or ""),
            *(outcome.sql, question.gold_sql or ""),
        ]
    for question, reason in evaluation.missing.items():
        blank = [""] * (len(modes) + len(scores) + 1)
        yield [question.id, question.db_id, question.difficulty, *blank, reason, "",
               question.gold_sql or ""]  # fmt: skip


def _number(value: bool | float | None) -> object:
    if value is None:
        return ""
    return int(value) if isinstance(value, bool) else round(value, 6)


def _score(metric: Metric, name: str, by: str = "", group: str = "") -> list[object]:
    record = metric.as_record()
    over_databases = record.get("interval_over_databases", ("", ""))
    return [name, by, group, record["value"], metric.n, *record["interval"], *over_databases]


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(head)
        table.writerows(rows)
