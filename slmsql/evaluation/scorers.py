"""Every rule by which a prediction file is scored, in one table.

One public file has been reported with scores that are ten points apart, because each report used
another rule or other questions. The table gives all of them at once, and says what each counts.
"""

from dataclasses import dataclass

from slmsql.evaluation.metric import Metric, share
from slmsql.evaluation.outcome import Evaluation
from slmsql.evaluation.releases import release
from slmsql.evaluation.report import metrics
from slmsql.match import Match


@dataclass(frozen=True, slots=True)
class Scorer:
    """A rule: its name in tables, and what it counts as right."""

    name: str
    counts: str


SCORERS = {
    "ex_bird": Scorer("EX bird", "the same set of rows, as BIRD's evaluation_ex.py"),
    "ex_spider": Scorer(
        "EX spider",
        "the same rows as often, columns in any order, without DISTINCT, as Spider's test-suite "
        "evaluator",
    ),
    "ex_strict": Scorer(
        "EX strict", "the same rows as often, columns in order, and in gold's order if it sorts"
    ),
    "ex_suite": Scorer("suite EX", "right by --match on the database and on all its neighbours"),
    "ex_test_suite": Scorer("test-suite EX", "EX spider, on every database of Spider's suites"),
    "exact_set_match": Scorer("exact-set", "the same clauses, as Spider's evaluation.py"),
    "exact_match": Scorer("exact match", "the same text, but for case, spaces, quotes and aliases"),
    "soft_f1_official": Scorer("Soft-F1 official", "share of cells, as BIRD's evaluation_f1.py"),
    "soft_f1": Scorer("Soft-F1", "share of cells; rows are paired by content, not by place"),
    "r_ves_filtered": Scorer(
        "R-VES official", "EX bird, and time against gold's, with the outliers of evaluation_ves.py"
    ),
    "r_ves": Scorer("R-VES", "EX bird, and time against gold's, by the median"),
    "r_ves_steps": Scorer("R-VES by steps", "EX bird, and SQLite's steps against gold's"),
    "ves": Scorer("VES", "EX bird, and time against gold's, without an upper bound"),
    "valid_sql": Scorer("valid", "it runs"),
}
OF_ALL = Scorer("EX bird, of all", "the same, where the questions left out count as wrong")


def every_scorer(evaluation: Evaluation) -> str:
    """The scores of an evaluation by each rule, with the release of the data and its hash."""
    found = dict(metrics(evaluation))
    lines = [_row("scorer", "score", "95 % interval", "n", "what counts")]
    lines += [_scored(scorer, found[name]) for name, scorer in SCORERS.items() if name in found]
    of_all = _of_all(evaluation)
    if of_all is not None:
        lines.append(_scored(OF_ALL, of_all))
    return "\n".join([*lines, "", _about(evaluation)])


def _of_all(evaluation: Evaluation) -> Metric | None:
    """EX bird where the questions left out count as wrong; None if none is left out."""
    left_out = evaluation.left_out.total()
    right = [outcome.correct[Match.BIRD] for outcome in evaluation.judged]
    return share([*right, *[False] * left_out]) if left_out and right else None


def _about(evaluation: Evaluation) -> str:
    questions = [*(outcome.question for outcome in evaluation.outcomes), *evaluation.missing]
    left_out = (f"; {n} left out ({why})" for why, n in evaluation.left_out.items())
    return (
        f"data: {release(questions)}; {len(evaluation.judged)} of {len(questions)} questions judged"
        + "".join(left_out)
    )


def _scored(scorer: Scorer, metric: Metric) -> str:
    interval = f"[{metric.interval.low:.1f}, {metric.interval.high:.1f}]"
    return _row(scorer.name, f"{metric.value:.1f}", interval, str(metric.n), scorer.counts)


def _row(name: str, score: str, interval: str, n: str, counts: str) -> str:
    return f"{name:<16} {score:>6}  {interval:<15} {n:>5}  {counts}".rstrip()
