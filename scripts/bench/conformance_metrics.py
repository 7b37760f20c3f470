"""Compare our Soft-F1, R-VES, exact-set match and difficulty with the official scripts'.

    python scripts/bench/conformance_metrics.py --questions dev.json --databases database \\
        --predictions predictions/*.jsonl --bird ~/mini_dev \\
        --test-suite ~/test-suite-sql-eval --tables tables.json

runs the scripts of your own checkouts on the same distinct (prediction, gold) pairs and lists
where they differ, with the reason; without a known one it is a fault, and the exit code is 1.
R-VES is computed from measured times, which are never the same twice, so `--series` drawn series of
time ratios go through both instead.

BIRD's scripts need `func_timeout` and `numpy`, Spider's `sqlparse`, `tqdm` and `nltk`; `--python`
names an interpreter that has them. EX itself: scripts/bench/conformance.py.
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.evaluation import Extras, Outcome, evaluate
from slmsql.evaluation.efficiency import official_reward
from slmsql.execution import Executor, Pair
from slmsql.files import Record, write_json
from slmsql.match import Match
from slmsql.official import Answer, Measure, measure_officially, pair_task
from slmsql.official.options import OfficialOptions
from slmsql.spider import Catalogs, read_foreign_keys, with_levels

UNKNOWN = "unknown"


@dataclass(kw_only=True)
class Options(OfficialOptions):
    tables: Path | None = field(default=None, metadata={"help": "Spider's tables.json"})
    series: int = field(default=20_000, metadata={"help": "series of time ratios for R-VES"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_has_checkout()
        if self.test_suite is not None and self.tables is None:
            raise ValueError("Spider's exact-set match needs --tables tables.json")


@dataclass(frozen=True, slots=True)
class Difference:
    """One value on which an official script and ours differ."""

    metric: str
    official: Any
    ours: Any
    about: Record
    reason: str = UNKNOWN


def main() -> None:
    options = parse(Options, about=__doc__)
    outcomes = distinct_outcomes(options)
    found: list[Difference] = []
    if options.bird is not None:
        found += by_soft_f1(outcomes, options.bird, options)
        found += by_r_ves(options.bird, options)
    if options.test_suite is not None:
        found += by_exact_set(outcomes, options.test_suite, options)
    for one in found:
        print(f"{one.metric}: official {one.official}, ours {one.ours}: {one.reason}: {one.about}")
    if options.json:
        record = {"pairs": len(outcomes), "differences": list(map(asdict, found))}
        write_json(options.json, record)
    sys.exit(1 if any(one.reason == UNKNOWN for one in found) else 0)


def distinct_outcomes(options: Options) -> list[Outcome]:
    """Ours on each distinct pair of a prediction with the gold of its question."""
    questions, sets = options.read()
    catalogs = Catalogs(read_foreign_keys(options.tables)) if options.tables else None
    if catalogs is not None:
        questions = with_levels(questions, catalogs)
    found: dict[Pair, Outcome] = {}
    with Executor() as executor:
        for one in sets:
            answered = [question for question in questions if question.id in one]
            judged = evaluate(
                answered, one, match=Match.BIRD, executor=executor, extras=Extras(catalogs=catalogs)
            ).judged
            for outcome in judged:
                found.setdefault(pair_of(outcome), outcome)
    if not found:
        raise InputError("no prediction has a question with gold SQL and a database")
    print(f"{len(found)} distinct pairs of {len(sets)} files", file=sys.stderr)
    return list(found.values())


def by_soft_f1(outcomes: Sequence[Outcome], checkout: Path, options: Options) -> list[Difference]:
    answers, seconds = measure_officially(
        Measure.SOFT_F1,
        checkout,
        [task_of(one) for one in outcomes],
        processes=options.processes,
        python=options.python,
    )
    differences = [
        Difference("soft-f1", answer.value, ours, about(outcome), why(outcome))
        for outcome, answer in zip(outcomes, answers, strict=True)
        if differ(answer.value, ours := outcome.scores["soft_f1_official"])
    ]
    said("soft-f1", differences, len(outcomes), seconds)
    return differences


def differ(official: float | None, ours: float) -> bool:
    """The script itself counts a query that fails as 0; None is no answer at all."""
    return official is None or abs(ours - official) > 1e-9


def why(outcome: Outcome) -> str:
    """Why our Soft-F1 differs on purpose."""
    if outcome.predicted.kind == "not a query":
        return "no query at all, scored by its empty result"
    return UNKNOWN


def by_r_ves(checkout: Path, options: Options) -> list[Difference]:
    """SampledQuestion ratios around each bound of the reward, with one far off now and then."""
    drawn = draw_series(options.series)
    answers, seconds = measure_officially(
        Measure.R_VES, checkout, [{"ratios": ratios} for ratios in drawn], python=options.python
    )
    undefined = sum(answer.value is None for answer in answers)
    differences = [
        Difference("r-ves", answer.value, ours, {"ratios": ratios})
        for ratios, answer in zip(drawn, answers, strict=True)
        if answer.value is not None and answer.value != (ours := official_reward(ratios))
    ]
    said("r-ves", differences, len(drawn) - undefined, seconds)
    print(f"  {undefined} more series are undefined officially: it drops every measurement")
    return differences


def draw_series(count: int) -> list[list[float]]:
    """Gold time by predicted time, of 1 to 30 repeats; the same for each call.

    One measurement is far off now and then, but never from nine equal ones: it would be exactly
    three standard deviations off, where rounding decides.
    """
    random_ = random.Random(42)
    series = []
    for _ in range(count):
        middle = random_.choice((0.25, 0.5, 1.0, 2.0)) * random_.uniform(0.7, 1.4)
        spread = random_.choice((0.0, 0.01, 0.2))
        ratios = [
            middle * random_.uniform(1 - spread, 1 + spread) for _ in range(random_.randint(1, 30))
        ]
        if spread and random_.random() < 0.3:
            ratios[0] *= 50
        series.append(ratios)
    return series


def by_exact_set(outcomes: Sequence[Outcome], checkout: Path, options: Options) -> list[Difference]:
    tasks = [{**task_of(one), "db_id": one.question.db_id} for one in outcomes]
    answers, seconds = measure_officially(
        Measure.EXACT_SET, checkout, tasks, tables=options.tables, python=options.python
    )
    differences = [
        difference
        for outcome, answer in zip(outcomes, answers, strict=True)
        for difference in of_queries(outcome, answer)
    ]
    said("exact-set match and difficulty", differences, len(outcomes), seconds)
    return differences


def of_queries(outcome: Outcome, answer: Answer) -> list[Difference]:
    """What differs of one pair: the match, or the level of its gold query."""
    pairs = {
        "exact-set match": (answer.value["exact"], outcome.scores.get("exact_set_match")),
        "difficulty": (answer.value["level"], outcome.question.difficulty),
    }
    return [
        Difference(metric, official, ours, about(outcome))
        for metric, (official, ours) in pairs.items()
        if official != ours
    ]


def said(metric: str, differences: Sequence[Difference], count: int, seconds: float) -> None:
    print(f"{metric}: {len(differences)} of {count} differ ({seconds:.1f} s)")


def task_of(outcome: Outcome) -> Record:
    return pair_task(pair_of(outcome))


def pair_of(outcome: Outcome) -> Pair:
    question = outcome.question
    return Pair(question.database, outcome.sql, question.gold_sql)


def about(outcome: Outcome) -> Record:
    return {"id": outcome.question.id, "sql": outcome.sql, "gold": outcome.question.gold_sql}


if __name__ == "__main__":
    run_program(main)
