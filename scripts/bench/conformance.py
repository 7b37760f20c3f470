"""Compare our verdicts with those of the official evaluators, from your own checkouts of them.

    python scripts/bench/conformance.py --questions dev.json --databases database \
        --predictions predictions/*.jsonl --bird ~/mini_dev --test-suite ~/test-suite-sql-eval

runs both evaluators on the same (prediction, gold) pairs and lists every disagreement with its
reason. Disagreements without a known reason are faults, and the program ends with exit code 1.

BIRD's evaluator needs `func_timeout`, Spider's `sqlparse` and `tqdm`; `--python` names an
interpreter that has them. `docs/judge.md` holds the list as it stands.
"""

import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor, Pair, Status, Verdict
from slmsql.files import write_json
from slmsql.match import orders_rows
from slmsql.official import Answer, Evaluator, judge_officially
from slmsql.official.options import OfficialOptions, pairs_of

UNKNOWN = "unknown"


@dataclass(kw_only=True)
class Options(OfficialOptions):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_has_checkout()


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One pair on which an official evaluator and ours differ."""

    evaluator: Evaluator
    reason: str
    official: bool | None
    ours: bool | None
    database: str
    predicted: str
    gold: str


def main() -> None:
    options = parse(Options, about=__doc__)
    pairs = _pairs(options)
    print(f"{len(pairs)} distinct pairs", file=sys.stderr)
    checkouts = {Evaluator.BIRD: options.bird, Evaluator.TEST_SUITE: options.test_suite}
    found: list[Disagreement] = []
    for evaluator, checkout in checkouts.items():
        if checkout is not None:
            found += _compare(evaluator, checkout, pairs, options)
    if options.json:
        write_json(options.json, {"pairs": len(pairs), "disagreements": list(map(asdict, found))})
    sys.exit(1 if any(one.reason == UNKNOWN for one in found) else 0)


def _pairs(options: Options) -> list[Pair]:
    """Distinct pairs: an evaluator says the same of the same pair."""
    questions, sets = options.read()
    pairs = dict.fromkeys(pair for one in sets for pair in pairs_of(questions, one))
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
    found = [
        _disagreement(evaluator, pair, answer, verdict)
        for pair, answer, verdict in zip(pairs, answers, verdicts, strict=True)
        if answer.correct is not verdict.correct
        and not (answer.correct is False and _silent(verdict))
    ]
    print(f"{evaluator}: {len(found)} of {len(pairs)} pairs differ ({seconds:.1f} s)")
    for reason, count in Counter(one.reason for one in found).most_common():
        print(f"  {count:6}  {reason}")
    for one in found:
        print(f"\n  {one.reason}: official {one.official}, ours {one.ours}, {one.database}")
        print(f"    predicted  {' '.join(one.predicted.split())}\n    gold       {one.gold}")
    return found


def _silent(verdict: Verdict) -> bool:
    """We say "the gold does not run", BIRD's evaluator "wrong": the same, told apart."""
    return verdict.correct is None and not verdict.gold.ok


def _disagreement(
    evaluator: Evaluator, pair: Pair, answer: Answer, verdict: Verdict
) -> Disagreement:
    reason = _reason(evaluator, pair, answer, verdict)
    return Disagreement(
        evaluator,
        reason,
        answer.correct,
        verdict.correct,
        pair.database.stem,
        pair.predicted or "",
        pair.gold or "",
    )


def _reason(evaluator: Evaluator, pair: Pair, answer: Answer, verdict: Verdict) -> str:
    """Why ours differs on purpose. The first that applies; each is a row in docs/judge.md."""
    predicted, gold = pair.predicted or "", pair.gold or ""
    mine = verdict.predicted
    if answer.correct is None and not verdict.gold.ok:
        return "the gold does not run: the official evaluator stops, ours has no verdict"
    if mine.kind == "not a query":
        return "no query at all, judged by its empty result"
    if mine.kind == "several statements":
        return "several statements, of which the official evaluator runs the first"
    if mine.status is Status.REFUSED:
        return f"not only reading ({mine.kind}), which the official evaluator carries out"
    if mine.status in {Status.TIMEOUT, Status.TOO_LARGE}:
        return f"over our limit ({mine.kind})"
    if mine.volatile or verdict.gold.volatile:
        return "random numbers or the time: another result each time"
    if evaluator is Evaluator.BIRD:
        return UNKNOWN
    if "value" in predicted:
        return "the official evaluator replaces the letters 'value' by '1'"
    if ("order by" in gold.lower()) != orders_rows(gold):
        return "order: the official evaluator looks for the letters 'order by' anywhere"
    return UNKNOWN


if __name__ == "__main__":
    run_program(main)
