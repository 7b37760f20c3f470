"""How often is each way of choosing among candidates right, and how many samples does it need?

    python scripts/bench/voting.py --benchmark spider --root SPIDER --split dev \\
        --candidates predictions/*.jsonl --json voting.json

Prints execution accuracy, in percent of the questions whose gold query runs, of pass@k, votes of k,
the vote weighted by source, the better of the two largest groups, and the adaptive vote at each
`--confidence` and `--round_size`. Ties, and the moment when an adaptive vote is decided, depend on
the order of the candidates: the figures are means over `--shuffles` orders.

A good result: the adaptive vote is as accurate as the vote of all, with a fraction of the samples
(docs/inference.md).
"""

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.consistency.candidates import Candidate, CandidateSet, read_candidates, run_candidates
from slmsql.consistency.judging import judge_candidates
from slmsql.consistency.source_weights import source_weights
from slmsql.consistency.voting import COUNTING, VoteWeight, VotingRules, group_by_result, is_decided
from slmsql.errors import InputError, run_program
from slmsql.evaluation.statistics import pass_at_k
from slmsql.execution import Executor
from slmsql.files import write_json
from slmsql.match import Match
from slmsql.questions.question import with_databases


@dataclass(kw_only=True)
class Options(SourceOptions):
    candidates: list[Path] = field(metadata={"help": "candidates.jsonl or prediction files"})
    match: Match = field(default=Match.BIRD, metadata={"help": "when two results agree"})
    confidence: list[float] = field(
        default_factory=lambda: [0.8, 0.9, 0.95], metadata={"help": "of the adaptive votes"}
    )
    round_size: list[int] = field(
        default_factory=lambda: [1, 4], metadata={"help": "samples of an adaptive vote's round"}
    )
    shuffles: int = field(default=20, metadata={"help": "number of orders of the candidates"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A question's candidates in some order, and whether each query is right."""

    candidates: tuple[Candidate, ...]
    right: Mapping[str | None, bool]


@dataclass(frozen=True, slots=True)
class Way:
    """A way of choosing: the mean number of samples it takes, and its execution accuracy."""

    way: str
    samples: float
    ex: float


def main() -> None:
    options = parse(Options, about=__doc__)
    sets, gold = _read(options)
    with Executor() as executor:
        sets = run_candidates(sets, executor, options.match)
        questions = _judge(sets, gold, executor, options.match)
    by_source = VotingRules(VoteWeight.SOURCE, sources=source_weights(sets))
    ways = list(_ways(questions, by_source, options))
    print(f"n={len(questions)}, {options.match} match, mean of {options.shuffles} shuffles")
    print(f"{'':<40}{'samples':>8}{'EX':>8}")
    for way in ways:
        print(f"{way.way:<40}{way.samples:>8.2f}{way.ex:>8.2f}")
    if options.json:
        about = {"n": len(questions), "match": options.match.value, "shuffles": options.shuffles}
        write_json(options.json, about | {"ways": [asdict(way) for way in ways]})


def _read(options: Options) -> tuple[list[CandidateSet], dict[str, str | None]]:
    """The candidates and the gold queries, by id, of the questions that have a database."""
    questions = options.read_all()
    usable, missing = with_databases([question for question in questions if question.gold_sql])
    if not usable:
        raise InputError("no question has both a gold query and its database")
    if missing:
        print(f"left out: {len(missing)} questions without their database", file=sys.stderr)
    sets = read_candidates(options.candidates, questions, wanted=usable)
    if any(candidate_set.first_round is not None for candidate_set in sets):
        raise InputError(
            "the number of these candidates depends on their votes, which biases every figure; "
            "sample without --round_size"
        )
    return sets, {question.id: question.gold_sql for question in usable}


def _judge(
    sets: Sequence[CandidateSet], gold: Mapping[str, str | None], executor: Executor, match: Match
) -> list[JudgedQuestion]:
    """The questions whose gold query runs."""
    return [
        JudgedQuestion(judged.candidate_set.candidates, judged.correct_by_sql)
        for judged in judge_candidates(sets, gold, executor, match)
        if judged.is_judged
    ]


def _ways(
    questions: Sequence[JudgedQuestion], by_source: VotingRules, options: Options
) -> Iterator[Way]:
    most = max(len(question.candidates) for question in questions)
    orders = [order for seed in range(options.shuffles) for order in _shuffled(questions, seed)]
    sizes = [size for size in (1, 2, 4, 8, 16, 32, 64) if size < most] + [most]
    for size in sizes:
        yield Way(f"pass@{size}", size, _percent([_pass_at(size, q) for q in questions]))
    for size in sizes:
        yield Way(f"vote of {size}", size, _percent([_vote(q, size) for q in orders]))
    weighted = [_vote(question, most, by_source) for question in orders]
    yield Way("weighted vote of all", most, _percent(weighted))
    yield Way("top-2 of all", most, _percent([_top2(question) for question in orders]))
    for round_size in options.round_size:
        for confidence in options.confidence:
            votes = [_adaptive(question, round_size, confidence) for question in orders]
            samples = sum(count for count, _ in votes) / len(votes)
            name = f"adaptive, round_size {round_size}, confidence {confidence}"
            yield Way(name, samples, _percent([right for _, right in votes]))


def _shuffled(questions: Sequence[JudgedQuestion], seed: int) -> Iterator[JudgedQuestion]:
    generator = random.Random(seed)
    for question in questions:
        order = generator.sample(question.candidates, len(question.candidates))
        yield replace(question, candidates=tuple(order))


def _percent(scores: Sequence[float]) -> float:
    return 100 * sum(scores) / len(scores)


def _pass_at(size: int, question: JudgedQuestion) -> float:
    right = sum(question.right[candidate.sql] for candidate in question.candidates)
    total = len(question.candidates)
    return pass_at_k(right, total, min(size, total))


def _vote(question: JudgedQuestion, size: int, rules: VotingRules = COUNTING) -> bool:
    groups = group_by_result(question.candidates[:size], rules)
    return bool(groups) and question.right[groups[0].sql]


def _top2(question: JudgedQuestion) -> bool:
    """Whether one of the two largest groups is right."""
    return any(question.right[group.sql] for group in group_by_result(question.candidates)[:2])


def _adaptive(question: JudgedQuestion, round_size: int, confidence: float) -> tuple[int, bool]:
    """How many samples the question takes until its vote is decided, and whether it is right."""
    total = len(question.candidates)
    taken = min(round_size, total)
    while not is_decided(group_by_result(question.candidates[:taken]), total - taken, confidence):
        taken = min(taken + round_size, total)
    return taken, _vote(question, taken)


if __name__ == "__main__":
    run_program(main)
