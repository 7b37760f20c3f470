"""Judges predictions by suites: right on the original and on every neighbour."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from slmsql.execution import Execution, Pair, Verdict
from slmsql.execution.digest import digest
from slmsql.match import Match
from slmsql.suites.neighbours.folder import Suites

WIDEST = 4  # columns of a result that may say nothing

Judge = Callable[[Sequence[Pair], Match], Sequence[Verdict]]


@dataclass(frozen=True, slots=True)
class SuiteVerdict:
    """On how many databases a prediction has the gold query's result."""

    agreed: int
    """The original counts; 0 if the prediction is wrong there."""
    databases: int
    """The original and the neighbours."""
    parted: Path | None = None
    """The first neighbour on which the results differ, if they agree on the original."""

    @property
    def right(self) -> bool:
        return self.agreed == self.databases

    @property
    def coincidence(self) -> bool:
        """Whether it is right on the original and wrong on a neighbour."""
        return self.parted is not None


def suite_verdicts(
    pairs: Sequence[Pair],
    verdicts: Sequence[Verdict],
    suites: Suites,
    match: Match,
    judge: Judge,
) -> list[SuiteVerdict | None]:
    """One verdict for each pair; None if it has no verdict on the original, or no suite.

    Args:
        pairs: predictions and gold queries, on the original databases.
        verdicts: on the originals. Neighbours are asked only about what is right there.
        suites: where the neighbours are.
        match: the mode of the verdicts.
        judge: gives verdicts on neighbours.
    """
    neighbours = [suites.neighbours(pair.database, pair.gold or "") for pair in pairs]
    asked = [
        (index, Pair(path, pair.predicted, pair.gold))
        for index, (pair, verdict) in enumerate(zip(pairs, verdicts, strict=True))
        if verdict.correct
        for path in neighbours[index]
    ]
    found: dict[int, list[tuple[Path, bool]]] = {}
    answers = parted([pair for _, pair in asked], match, judge)
    for (index, pair), differs in zip(asked, answers, strict=True):
        if differs is not None:
            found.setdefault(index, []).append((pair.database, not differs))
    return [
        _verdict(verdict, len(neighbours[index]), found.get(index, []))
        for index, verdict in enumerate(verdicts)
    ]


def parted(pairs: Sequence[Pair], match: Match, judge: Judge) -> list[bool | None]:
    """Whether the results of each pair differ on a neighbour; None if the machine failed.

    Two differences do not count: no row and a row of nothing but NULL (`says_nothing`), and numbers
    that differ by rounding, as `100.0 * a / b` and `a / b * 100.0` do.
    """
    verdicts = judge(pairs, match)
    differs = [
        None if verdict.correct is None else not (verdict.correct or says_nothing(verdict))
        for verdict in verdicts
    ]
    close = [
        index
        for index, verdict in enumerate(verdicts)
        if differs[index] and verdict.predicted.row_count == verdict.gold.row_count > 0
    ]
    # What mode `strict` calls equal differs in the others by rounding alone.
    for index, verdict in zip(close, judge([pairs[i] for i in close], Match.STRICT), strict=True):
        differs[index] = not verdict.correct
    return differs


def says_nothing(verdict: Verdict) -> bool:
    """Whether both results say that there is nothing, each in its way.

    Where nobody is, `SELECT max(age)` and `SELECT age ... ORDER BY age DESC LIMIT 1` mean the same:
    a row of NULL, and no row. So do `sum` and `count`: NULL, and 0.
    """
    results = (verdict.predicted, verdict.gold)
    if all(result.row_count == 0 or _holds_only(result, (None,)) for result in results):
        return True
    return all(_holds_only(result, (None, 0)) for result in results)


def _holds_only(result: Execution, values: Sequence[Hashable]) -> bool:
    """Whether the result is one row of these values."""
    width = len(result.columns)
    if result.row_count != 1 or width > WIDEST:
        return False
    return any(result.digest == digest({row}) for row in product(values, repeat=width))


def _verdict(
    original: Verdict, neighbours: int, answers: Sequence[tuple[Path, bool]]
) -> SuiteVerdict | None:
    if original.correct is None or not neighbours:
        return None
    if not original.correct:
        return SuiteVerdict(0, 1 + neighbours)
    parted = next((path for path, right in answers if not right), None)
    return SuiteVerdict(1 + sum(right for _, right in answers), 1 + len(answers), parted)
