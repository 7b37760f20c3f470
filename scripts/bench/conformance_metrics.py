"""Do our Soft-F1, R-VES, exact-set match and difficulty agree with the official scripts?

    python scripts/bench/conformance_metrics.py --questions dev.json --databases database \\
        --predictions predictions/*.jsonl --bird ~/mini_dev \\
        --test-suite ~/test-suite-sql-eval --tables tables.json

Runs the scripts of your own checkouts on the same distinct (prediction, gold) pairs as ours, and
prints every value that differs, with the reason. For execution accuracy there is
scripts/bench/conformance.py.

A good result: no difference has the reason "unknown". If one has, the exit code is 1.

R-VES is computed from measured times, which are never the same twice. Instead of measuring, both
sides get the same random time ratios: `--series` lists of them.

BIRD's scripts need `func_timeout` and `numpy`; Spider's need `sqlparse`, `tqdm` and `nltk`.
`--python` names an interpreter that has them.
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench.official import Measure, measure_officially, pair_task
from scripts.bench.official.options import OfficialOptions
from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.evaluation import Extras, Outcome, evaluate
from slmsql.evaluation.efficiency import official_reward
from slmsql.evaluation.spider import Catalogs, read_foreign_keys, with_levels
from slmsql.execution import Executor, Pair
from slmsql.files import Record, write_json
from slmsql.match import Match

UNKNOWN = "unknown"


@dataclass(kw_only=True)
class Options(OfficialOptions):
    tables: Path | None = field(default=None, metadata={"help": "Spider's tables.json"})
    series: int = field(
        default=20_000, metadata={"help": "number of random series of time ratios for R-VES"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_has_checkout()
        if self.test_suite is not None and self.tables is None:
            raise ValueError("Spider's exact-set match needs --tables tables.json")


@dataclass(frozen=True, slots=True)
class Difference:
    """A value on which an official script and ours differ; `about` says of what."""

    metric: str
    official: Any
    ours: Any
    about: Record
    reason: str = UNKNOWN


def main() -> None:
    options = parse(Options, about=__doc__)
    outcomes = distinct_outcomes(options)
    differences: list[Difference] = []
    if options.bird is not None:
        differences += soft_f1_differences(outcomes, options.bird, options)
        differences += r_ves_differences(options.bird, options)
    if options.test_suite is not None:
        differences += exact_set_differences(outcomes, options.test_suite, options)
    for d in differences:
        print(f"{d.metric}: official {d.official}, ours {d.ours}: {d.reason}: {d.about}")
    if options.json:
        records = [asdict(difference) for difference in differences]
        write_json(options.json, {"pairs": len(outcomes), "differences": records})
    sys.exit(1 if any(d.reason == UNKNOWN for d in differences) else 0)


def distinct_outcomes(options: Options) -> list[Outcome]:
    """Our outcome of each distinct pair of a prediction and the gold query of its question."""
    questions, prediction_sets = options.read()
    catalogs = Catalogs(read_foreign_keys(options.tables)) if options.tables else None
    if catalogs is not None:
        questions = with_levels(questions, catalogs)
    extras = Extras(catalogs=catalogs)
    outcomes: dict[Pair, Outcome] = {}
    with Executor() as executor:
        for predictions in prediction_sets:
            answered = [question for question in questions if question.id in predictions]
            evaluation = evaluate(
                answered, predictions, match=Match.BIRD, executor=executor, extras=extras
            )
            for outcome in evaluation.judged:
                outcomes.setdefault(pair_of(outcome), outcome)
    if not outcomes:
        raise InputError("no prediction has a question with gold SQL and a database")
    print(f"{len(outcomes)} distinct pairs of {len(prediction_sets)} files", file=sys.stderr)
    return list(outcomes.values())


def soft_f1_differences(
    outcomes: Sequence[Outcome], checkout: Path, options: Options
) -> list[Difference]:
    answers, seconds = measure_officially(
        Measure.SOFT_F1,
        checkout,
        [pair_task(pair_of(outcome)) for outcome in outcomes],
        processes=options.processes,
        python=options.python,
    )
    differences = [
        Difference("soft-f1", answer.value, ours, about(outcome), soft_f1_reason(outcome))
        for outcome, answer in zip(outcomes, answers, strict=True)
        if differ(answer.value, ours := outcome.scores["soft_f1_official"])
    ]
    print_count("soft-f1", differences, len(outcomes), seconds)
    return differences


def differ(official: float | None, ours: float) -> bool:
    """None is no answer at all: the script itself scores a query that fails as 0."""
    return official is None or abs(ours - official) > 1e-9


def soft_f1_reason(outcome: Outcome) -> str:
    """Why our Soft-F1 differs on purpose."""
    if outcome.predicted.kind == "not a query":
        return "not a query: the script scores its empty result"
    return UNKNOWN


def r_ves_differences(checkout: Path, options: Options) -> list[Difference]:
    series = random_series(options.series)
    tasks: list[Record] = [{"ratios": ratios} for ratios in series]
    answers, seconds = measure_officially(Measure.R_VES, checkout, tasks, python=options.python)
    undefined = sum(answer.value is None for answer in answers)
    differences = [
        Difference("r-ves", answer.value, ours, {"ratios": ratios})
        for ratios, answer in zip(series, answers, strict=True)
        if answer.value is not None and answer.value != (ours := official_reward(ratios))
    ]
    print_count("r-ves", differences, len(series) - undefined, seconds)
    print(f"  {undefined} more series are undefined officially: it drops every measurement")
    return differences


def random_series(count: int) -> list[list[float]]:
    """Lists of 1 to 30 ratios of gold time to predicted time; the same at each call.

    The ratios lie around the bounds of the reward's steps. Now and then one is an outlier, but
    never beside nine equal ones: it would be exactly three standard deviations off, and rounding
    would decide whether it is dropped.
    """
    generator = random.Random(42)
    series = []
    for _ in range(count):
        middle = generator.choice((0.25, 0.5, 1.0, 2.0)) * generator.uniform(0.7, 1.4)
        spread = generator.choice((0.0, 0.01, 0.2))
        ratios = [
            middle * generator.uniform(1 - spread, 1 + spread)
            for _ in range(generator.randint(1, 30))
        ]
        if spread and generator.random() < 0.3:
            ratios[0] *= 50
        series.append(ratios)
    return series


def exact_set_differences(
    outcomes: Sequence[Outcome], checkout: Path, options: Options
) -> list[Difference]:
    """Of the match and of the difficulty of the gold query."""
    tasks = [
        {**pair_task(pair_of(outcome)), "db_id": outcome.question.db_id} for outcome in outcomes
    ]
    answers, seconds = measure_officially(
        Measure.EXACT_SET, checkout, tasks, tables=options.tables, python=options.python
    )
    differences = []
    for outcome, answer in zip(outcomes, answers, strict=True):
        for metric, official, ours in (
            ("exact-set match", answer.value["exact"], outcome.scores.get("exact_set_match")),
            ("difficulty", answer.value["level"], outcome.question.difficulty),
        ):
            if official != ours:
                differences.append(Difference(metric, official, ours, about(outcome)))
    print_count("exact-set match and difficulty", differences, len(outcomes), seconds)
    return differences


def print_count(metric: str, differences: Sequence[Difference], count: int, seconds: float) -> None:
    print(f"{metric}: {len(differences)} of {count} differ ({seconds:.1f} s)")


def pair_of(outcome: Outcome) -> Pair:
    question = outcome.question
    return Pair(question.database, outcome.sql, question.gold_sql)


def about(outcome: Outcome) -> Record:
    return {"id": outcome.question.id, "sql": outcome.sql, "gold": outcome.question.gold_sql}


if __name__ == "__main__":
    run_program(main)
