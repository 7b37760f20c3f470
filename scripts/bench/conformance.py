"""Do our verdicts agree with those of the official evaluators?

    python scripts/bench/conformance.py --questions dev.json --databases database \\
        --predictions predictions/*.jsonl --bird ~/mini_dev --test-suite ~/test-suite-sql-eval

Runs the evaluators of your own checkouts on the same distinct (prediction, gold) pairs as ours, and
prints every pair on which they disagree, with the reason. docs/judge.md lists the known reasons.

A good result: no disagreement has the reason "unknown". If one has, the exit code is 1.

BIRD's evaluator needs `func_timeout`; Spider's needs `sqlparse` and `tqdm`. `--python` names an
interpreter that has them.
"""

import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.bench.official import Evaluator, OfficialAnswer, judge_officially
from scripts.bench.official.options import OfficialOptions, pairs_of
from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor, Pair, Status, Verdict
from slmsql.files import write_json
from slmsql.match import orders_rows

UNKNOWN = "unknown"


@dataclass(kw_only=True)
class Options(OfficialOptions):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_has_checkout()


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A pair on which an official evaluator and ours disagree. `None` is "no verdict"."""

    evaluator: Evaluator
    reason: str
    official: bool | None
    ours: bool | None
    database: str
    predicted: str
    gold: str


def main() -> None:
    options = parse(Options, about=__doc__)
    pairs = _distinct_pairs(options)
    print(f"{len(pairs)} distinct pairs", file=sys.stderr)
    checkouts = {Evaluator.BIRD: options.bird, Evaluator.TEST_SUITE: options.test_suite}
    disagreements: list[Disagreement] = []
    for evaluator, checkout in checkouts.items():
        if checkout is not None:
            disagreements += _compare(evaluator, checkout, pairs, options)
    if options.json:
        records = [asdict(disagreement) for disagreement in disagreements]
        write_json(options.json, {"pairs": len(pairs), "disagreements": records})
    sys.exit(1 if any(d.reason == UNKNOWN for d in disagreements) else 0)


def _distinct_pairs(options: Options) -> list[Pair]:
    """Each pair once: the evaluators are deterministic."""
    questions, prediction_sets = options.read()
    pairs = dict.fromkeys(
        pair for predictions in prediction_sets for pair in pairs_of(questions, predictions)
    )
    if not pairs:
        raise InputError("no prediction has a question with gold SQL and a database")
    return list(pairs)


def _compare(
    evaluator: Evaluator, checkout: Path, pairs: list[Pair], options: Options
) -> list[Disagreement]:
    answers, seconds = judge_officially(
        evaluator, checkout, pairs, processes=options.processes, python=options.python
    )
    with Executor() as executor:
        verdicts = executor.judge(pairs, match=evaluator.match)
    disagreements = [
        _disagreement(evaluator, pair, answer, verdict)
        for pair, answer, verdict in zip(pairs, answers, verdicts, strict=True)
        if not _agree(answer, verdict)
    ]
    print(f"{evaluator}: {len(disagreements)} of {len(pairs)} pairs differ ({seconds:.1f} s)")
    for reason, count in Counter(d.reason for d in disagreements).most_common():
        print(f"  {count:6}  {reason}")
    for d in disagreements:
        print(f"\n  {d.reason}: official {d.official}, ours {d.ours}, {d.database}")
        print(f"    predicted  {' '.join(d.predicted.split())}\n    gold       {d.gold}")
    return disagreements


def _agree(answer: OfficialAnswer, verdict: Verdict) -> bool:
    """If the gold query fails, BIRD's evaluator says "wrong", and ours gives no verdict."""
    gold_fails = verdict.correct is None and not verdict.gold.ok
    return answer.correct is verdict.correct or (answer.correct is False and gold_fails)


def _disagreement(
    evaluator: Evaluator, pair: Pair, answer: OfficialAnswer, verdict: Verdict
) -> Disagreement:
    return Disagreement(
        evaluator,
        _reason(evaluator, pair, answer, verdict),
        answer.correct,
        verdict.correct,
        pair.database.stem,
        pair.predicted or "",
        pair.gold or "",
    )


def _reason(evaluator: Evaluator, pair: Pair, answer: OfficialAnswer, verdict: Verdict) -> str:
    """Why our verdict differs on purpose: the first reason that applies (see docs/judge.md)."""
    execution = verdict.predicted
    if answer.correct is None and not verdict.gold.ok:
        return "the gold query fails: the official evaluator stops, ours gives no verdict"
    if execution.kind == "not a query":
        return "the prediction is not a query; the official evaluator compares its empty result"
    if execution.kind == "several statements":
        return "several statements: the official evaluator runs only the first"
    if execution.status is Status.REFUSED:
        return f"not read-only ({execution.kind}); the official evaluator carries it out"
    if execution.status in {Status.TIMEOUT, Status.TOO_LARGE}:
        return f"over our limit ({execution.kind})"
    if execution.volatile or verdict.gold.volatile:
        return "random numbers or the time: the result differs at each run"
    if evaluator is Evaluator.BIRD:
        return UNKNOWN
    if "value" in (pair.predicted or ""):
        return "the official evaluator replaces the letters 'value' by '1'"
    gold = pair.gold or ""
    if ("order by" in gold.lower()) != orders_rows(gold):
        return "order: the official evaluator looks for the letters 'order by' anywhere"
    return UNKNOWN


if __name__ == "__main__":
    run_program(main)
