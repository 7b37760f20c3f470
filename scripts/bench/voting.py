"""Measure ways of voting on candidates: what each gets right, and with how many samples.

    python scripts/bench/voting.py --benchmark spider --root SPIDER --split dev \\
        --candidates predictions/*.jsonl --json voting.json

Candidates are shuffled `--shuffles` times, since a vote's ties and an adaptive vote's end depend on
their order; figures are means over the shuffles, in percent of the questions whose gold runs.
"""

import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.consistency.candidates import Candidate, CandidateSet, read_candidates, run_candidates
from slmsql.consistency.source_weights import source_weights
from slmsql.consistency.voting import COUNTING, Rules, Weight, group_by_result, is_decided
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor, Pair
from slmsql.files import write_json
from slmsql.match import Match
from slmsql.questions.question import with_databases


@dataclass(kw_only=True)
class Options(SourceOptions):
    candidates: list[Path] = field(metadata={"help": "candidates.jsonl or prediction files"})
    match: Match = field(default=Match.BIRD, metadata={"help": "when two results agree"})
    confidence: list[float] = field(
        default_factory=lambda: [0.8, 0.9, 0.95], metadata={"help": "of the adaptive vote"}
    )
    rounds: list[int] = field(
        default_factory=lambda: [1, 4], metadata={"help": "samples of an adaptive round"}
    )
    shuffles: int = field(default=20, metadata={"help": "orders of the candidates"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Judged:
    """A question's candidates in some order, and which of their queries are right."""

    candidates: tuple[Candidate, ...]
    right: Mapping[str | None, bool]


@dataclass(frozen=True, slots=True)
class Way:
    """A way of choosing, with the samples it took and what it got right."""

    way: str
    samples: float
    ex: float


def main() -> None:
    options = parse(Options, about=__doc__)
    sets, gold = _sets(options)
    with Executor() as executor:
        sets = run_candidates(sets, executor)
        judged = _judge(sets, gold, executor, options.match)
    ways = list(_ways(judged, Rules(Weight.SOURCE, sources=source_weights(sets)), options))
    print(f"n={len(judged)}, {options.match} match, mean of {options.shuffles} shuffles")
    print(f"{'':<36}{'samples':>8}{'EX':>8}")
    for way in ways:
        print(f"{way.way:<36}{way.samples:>8.2f}{way.ex:>8.2f}")
    if options.json:
        about = {"n": len(judged), "match": options.match.value, "shuffles": options.shuffles}
        write_json(options.json, about | {"ways": [asdict(way) for way in ways]})


def _sets(options: Options) -> tuple[list[CandidateSet], dict[str, str | None]]:
    questions = options.read_all()
    found, missing = with_databases([one for one in questions if one.gold_sql])
    if not found:
        raise InputError("no question has both a gold query and its database")
    if missing:
        print(f"left out: {len(missing)} questions without their database", file=sys.stderr)
    sets = read_candidates(options.candidates, questions, wanted=found)
    return sets, {one.id: one.gold_sql for one in found}


def _judge(
    sets: Sequence[CandidateSet], gold: Mapping[str, str | None], executor: Executor, match: Match
) -> list[Judged]:
    pairs = [Pair(s.database, one.sql, gold[s.id]) for s in sets for one in s.candidates]
    verdicts = iter(executor.judge(pairs, match=match))
    judged = []
    for found in sets:
        own = [next(verdicts) for _ in found.candidates]
        if own[0].gold.ok:
            sql = [one.sql for one in found.candidates]
            right = {text: bool(one.correct) for text, one in zip(sql, own, strict=True)}
            judged.append(Judged(found.candidates, right))
    return judged


def _ways(judged: Sequence[Judged], weighted: Rules, options: Options) -> Iterator[Way]:
    most = max(len(one.candidates) for one in judged)
    orders = [order for seed in range(options.shuffles) for order in _shuffled(judged, seed)]
    sizes = [size for size in (1, 2, 4, 8, 16, 32, 64) if size < most] + [most]
    for size in sizes:
        yield Way(f"pass@{size}", size, _share([_pass(one, size) for one in judged]))
    for size in sizes:
        yield Way(f"vote of {size}", size, _share([_vote(one, size) for one in orders]))
    yield Way("weighted vote of all", most, _share([_vote(one, most, weighted) for one in orders]))
    yield Way("top-2 of all", most, _share([_top(one, 2) for one in orders]))
    for step in options.rounds:
        for sure in options.confidence:
            counts = [_adaptive(one, step, sure) for one in orders]
            samples = sum(count for count, _ in counts) / len(counts)
            right = _share([hit for _, hit in counts])
            yield Way(f"adaptive, rounds of {step}, sure {sure}", samples, right)


def _shuffled(judged: Sequence[Judged], seed: int) -> Iterator[Judged]:
    dice = random.Random(seed)
    for one in judged:
        yield replace(one, candidates=tuple(dice.sample(one.candidates, len(one.candidates))))


def _share(scores: Sequence[float]) -> float:
    return 100 * sum(scores) / len(scores)


def _pass(one: Judged, size: int) -> float:
    """Chance that a draw of this size has a right one (the unbiased estimate over all draws)."""
    wrong = sum(not one.right[candidate.sql] for candidate in one.candidates)
    return 1 - math.comb(wrong, size) / math.comb(len(one.candidates), size)


def _vote(one: Judged, size: int, rules: Rules = COUNTING) -> bool:
    groups = group_by_result(one.candidates[:size], rules)
    return bool(groups) and one.right[groups[0].sql]


def _top(one: Judged, count: int) -> bool:
    return any(one.right[group.sql] for group in group_by_result(one.candidates)[:count])


def _adaptive(one: Judged, step: int, sure: float) -> tuple[int, bool]:
    """How many samples the question takes, and whether the vote is right then."""
    total = len(one.candidates)
    taken = min(step, total)
    while not is_decided(group_by_result(one.candidates[:taken]), total - taken, sure):
        taken = min(taken + step, total)
    return taken, _vote(one, taken)


if __name__ == "__main__":
    run_program(main)
