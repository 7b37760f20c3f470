"""How far does early stopping bias pass@k, and what removes the bias?

    python scripts/bench/adaptive_bias.py --json adaptive_bias.json

Simulates questions whose candidates are each right with a known probability, samples them until the
vote is decided (`is_decided`), and estimates pass@1 and pass@n in two ways: from all candidates
that were drawn, and from the first round alone. Wrong candidates have one of `--wrong` results, all
equally often. The first round has fewer than n candidates, so pass@n cannot be estimated
from it; pass@k for k up to its size can.

A good result: the column "first round" agrees with the column "true" within the error of the
simulation, which is about 0.3 points with the default number of questions (docs/evaluation.md).
"""

import random
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.consistency.candidates import Candidate
from slmsql.consistency.voting import group_by_result, is_decided
from slmsql.errors import run_program
from slmsql.evaluation.statistics import pass_at_k
from slmsql.execution import Status
from slmsql.files import write_json


@dataclass(kw_only=True)
class Options:
    probability: list[float] = field(
        default_factory=lambda: [0.2, 0.5, 0.6, 0.7],
        metadata={"help": "how often a candidate is right"},
    )
    wrong: int = field(default=4, metadata={"help": "number of different wrong results"})
    n: int = field(default=64, metadata={"help": "largest number of candidates"})
    round_size: int = field(default=4, metadata={"help": "candidates of a round"})
    confidence: float = field(default=0.9, metadata={"help": "when sampling stops"})
    questions: int = field(default=20_000, metadata={"help": "number of simulated questions"})
    seed: int = field(default=0, metadata={"help": "seed of the simulation"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Estimate:
    """pass@k in percent: the true value, and what two estimates give on average."""

    probability: float
    k: int
    true: float
    all_drawn: float
    first_round: float | None
    samples: float
    """Mean number of candidates that were drawn."""


def main() -> None:
    options = parse(Options, about=__doc__)
    estimates = []
    for probability in options.probability:
        generator = random.Random(options.seed)
        drawn = [_draw(generator, probability, options) for _ in range(options.questions)]
        ks = dict.fromkeys((1, options.round_size, options.n))
        estimates += [_estimate(drawn, probability, k, options) for k in ks]
    print(f"{'p':>5}{'k':>5}{'true':>9}{'all drawn':>11}{'first round':>13}{'samples':>9}")
    for e in estimates:
        first = "-" if e.first_round is None else f"{e.first_round:.1f}"
        print(
            f"{e.probability:>5}{e.k:>5}{e.true:>9.1f}{e.all_drawn:>11.1f}{first:>13}"
            f"{e.samples:>9.1f}"
        )
    if options.json:
        about = {name: value for name, value in asdict(options).items() if name != "json"}
        write_json(options.json, about | {"estimates": [asdict(e) for e in estimates]})


def _draw(generator: random.Random, probability: float, options: Options) -> list[bool]:
    """Which candidates of a question are right, up to the moment when its vote is decided."""
    candidates: list[Candidate] = []
    while True:
        count = min(options.round_size, options.n - len(candidates))
        for _ in range(count):
            right = generator.random() < probability
            digest = "right" if right else f"wrong {generator.randrange(options.wrong)}"
            candidates.append(Candidate(digest, status=Status.OK, digest=digest, row_count=1))
        groups = group_by_result(candidates)
        if is_decided(groups, options.n - len(candidates), options.confidence):
            return [candidate.digest == "right" for candidate in candidates]


def _estimate(drawn: list[list[bool]], probability: float, k: int, options: Options) -> Estimate:
    first_rounds = [flags[: options.round_size] for flags in drawn]
    return Estimate(
        probability=probability,
        k=k,
        true=100 * (1 - (1 - probability) ** k),
        all_drawn=_pass_at(k, drawn),
        first_round=_pass_at(k, first_rounds) if k <= options.round_size else None,
        samples=sum(map(len, drawn)) / len(drawn),
    )


def _pass_at(k: int, drawn: list[list[bool]]) -> float:
    """Mean pass@k; of a question with fewer candidates than k, over all that it has."""
    scores = [pass_at_k(sum(flags), len(flags), min(k, len(flags))) for flags in drawn]
    return 100 * sum(scores) / len(scores)


if __name__ == "__main__":
    run_program(main)
