"""An evaluation as a record for programs and as a table for people."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict

from slmsql.evaluation.metric import Metric, mean, share
from slmsql.evaluation.outcome import Coincidence, Evaluation, Outcome
from slmsql.execution import Execution
from slmsql.files import Record

# The difficulties of BIRD and Spider from easy to hard; other names come after them.
ORDER = ("easy", "simple", "medium", "moderate", "hard", "complex", "challenging", "extra")

# For each breakdown, the names under which an outcome counts: one, several or none.
BREAKDOWNS: dict[str, Callable[[Outcome], Iterable[str]]] = {
    "difficulty": lambda outcome: [outcome.question.difficulty],
    "database": lambda outcome: [outcome.question.db_id],
    "construct": lambda outcome: outcome.constructs,
}


def as_record(evaluation: Evaluation) -> Record:
    """The figures of a run, as in report.json: shares in percent, with 95 % intervals."""
    accuracy = evaluation.accuracy
    return {
        "execution_accuracy": accuracy and round(accuracy.value, 2),
        "n": accuracy.n if accuracy else 0,
        "correct": accuracy.count if accuracy else 0,
        "interval": accuracy and accuracy.interval.rounded(),
        "interval_over_databases": accuracy
        and accuracy.over_databases
        and accuracy.over_databases.rounded(),
        "match": evaluation.match.value,
        "left_out": sum(evaluation.left_out.values()),
        "left_out_because": dict(evaluation.left_out),
        "metrics": {name: metric.as_record() for name, metric in metrics(evaluation)},
        "by": {
            name: {key: metric.as_record() for key, metric in breakdown(evaluation, name)}
            for name in BREAKDOWNS
        },
        "errors": dict(errors(evaluation)),
        "coincidences": dict(coincidences(evaluation)),
    }


def metrics(evaluation: Evaluation) -> Iterator[tuple[str, Metric]]:
    """All metrics that are defined for a run, by name."""
    judged = evaluation.judged
    for mode in judged[0].correct if judged else ():
        verdicts = [o.correct[mode] for o in judged]
        yield from _some(f"ex_{mode.value}", share(verdicts, _databases(judged)))
    for name in dict.fromkeys(name for outcome in judged for name in outcome.scores):
        scored = [outcome for outcome in judged if name in outcome.scores]
        yield from _some(name, _metric([o.scores[name] for o in scored], _databases(scored)))
    outcomes = evaluation.outcomes
    yield from _some("valid_sql", share([o.predicted.ok for o in outcomes], _databases(outcomes)))


def errors(evaluation: Evaluation) -> list[tuple[str, int]]:
    """The number of wrong answers in each error class, the largest first."""
    classes = Counter(o.error_class.value for o in evaluation.judged if o.error_class)
    return classes.most_common()


def coincidences(evaluation: Evaluation) -> list[tuple[str, int]]:
    """The number of right answers that a suite refuses, by what they differ in from the gold."""
    found = [outcome.coincidence for outcome in evaluation.judged if outcome.coincidence]
    return Counter(coincidence.difference.value for coincidence in found).most_common()


def breakdown(evaluation: Evaluation, by: str) -> Iterator[tuple[str, Metric]]:
    """Execution accuracy by a property of the questions: a key of `BREAKDOWNS`."""
    outcomes: dict[str, list[Outcome]] = {}
    for outcome in evaluation.judged:
        for name in BREAKDOWNS[by](outcome):
            outcomes.setdefault(name, []).append(outcome)
    outcomes.pop("", None)  # questions without the property
    for name in sorted(outcomes, key=_rank):
        verdicts = [outcome.correct[evaluation.match] for outcome in outcomes[name]]
        yield from _some(name, share(verdicts, _databases(outcomes[name])))


def as_table(evaluation: Evaluation) -> str:
    """The figures of a run as text for a terminal."""
    accuracy = evaluation.accuracy
    lines = [metric_line(f"EX ({evaluation.match.value})", accuracy)] if accuracy else []
    for name, metric in breakdown(evaluation, "difficulty"):
        lines.append(metric_line(f"  {name}", metric))
    for name, metric in metrics(evaluation):
        if name != f"ex_{evaluation.match.value}":
            lines.append(metric_line(name, metric))
    if not accuracy:
        lines.append("EX: not defined, no question could be judged")
    classes = errors(evaluation)
    if classes:
        lines.append("wrong: " + ", ".join(f"{count} {name}" for name, count in classes))
    lucky = coincidences(evaluation)
    if lucky:
        lines.append("right by coincidence: " + ", ".join(f"{n} {name}" for name, n in lucky))
    for reason, count in evaluation.left_out.items():
        lines.append(f"left out: {count} ({reason})")
    return "\n".join(lines)


def outcome_record(outcome: Outcome) -> Record:
    """One line of outcomes.jsonl."""
    question = outcome.question
    return {
        "id": question.id,
        "db_id": question.db_id,
        "difficulty": question.difficulty,
        "question": question.text,
        "evidence": question.evidence,
        "sql": outcome.sql,
        "gold_sql": question.gold_sql,
        "correct": {mode.value: right for mode, right in outcome.correct.items()},
        "scores": {name: _rounded(score) for name, score in outcome.scores.items()},
        "error_class": outcome.error_class,
        "differences": list(outcome.differences),
        "constructs": list(outcome.constructs),
        "groups": [asdict(group) for group in outcome.groups],
        "left_out": outcome.left_out,
        "predicted": _result(outcome.predicted),
        "gold": outcome.gold and _result(outcome.gold),
        "coincidence": outcome.coincidence and _coincidence(outcome.coincidence),
    }


def _coincidence(coincidence: Coincidence) -> Record:
    """How a right answer and the gold query part on a small database."""
    witness = coincidence.witness
    return {
        "difference": coincidence.difference,
        "neighbour": str(witness.neighbour),
        "witness": witness.script,
        "tables": [
            {"name": table.name, **_table(table.columns, table.rows)} for table in witness.tables
        ],
        "predicted": _result(witness.predicted),
        "gold": _result(witness.gold),
    }


def _result(execution: Execution) -> Record:
    return {
        "status": execution.status.value,
        "error": execution.error,
        **_table(execution.columns, execution.rows),
        "row_count": execution.row_count,
    }


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Record:
    return {"columns": list(columns), "rows": [[_shown(value) for value in row] for row in rows]}


def _shown(value: object) -> str | int | float | None:
    """A value as JSON can hold it: no bytes, no infinity, no integers that readers would round."""
    if isinstance(value, str | None):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    if isinstance(value, float) and abs(value) < float("inf"):
        return value
    return f"x'{value[:20].hex()}'" if isinstance(value, bytes) else str(value)


def _metric(scores: Sequence[bool | float], databases: Sequence[str]) -> Metric | None:
    flags = [score for score in scores if isinstance(score, bool)]
    if len(flags) == len(scores):
        return share(flags, databases)
    return mean([float(score) for score in scores], databases)


def _databases(outcomes: Iterable[Outcome]) -> list[str]:
    return [outcome.question.db_id for outcome in outcomes]


def _rounded(score: bool | float) -> bool | float:
    return score if isinstance(score, bool) else round(score, 6)


def metric_line(name: str, metric: Metric) -> str:
    """A metric as one line of a table: value, interval and number of questions."""
    low, high = metric.interval.low, metric.interval.high
    line = f"{name:<22} {metric.value:6.1f}   [{low:.1f}, {high:.1f}]   n = {metric.n}"
    if metric.over_databases is None:
        return line
    low, high = metric.over_databases.low, metric.over_databases.high
    return f"{line}   over databases [{low:.1f}, {high:.1f}]"


def _some(name: str, metric: Metric | None) -> Iterator[tuple[str, Metric]]:
    if metric is not None:
        yield name, metric


def _rank(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
