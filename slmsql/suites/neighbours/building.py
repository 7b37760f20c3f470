"""Makes the suite of a gold query: many random neighbours are tried, the best few are kept."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sqlglot import exp

from slmsql.execution import (
    Execution,
    Executor,
    Filling,
    Pair,
    Statement,
    create_filled,
    create_reversed_copy,
)
from slmsql.match import Match, orders_rows, same_result
from slmsql.sql.parsing import parsed
from slmsql.sql.ties import all_tie_queries, sort_keys_query
from slmsql.suites.neighbours.choice import smallest_cover
from slmsql.suites.neighbours.focus import Focus, read_focus
from slmsql.suites.neighbours.links import with_joins
from slmsql.suites.neighbours.mutants import Mutant, mutants
from slmsql.suites.neighbours.profile import Profile
from slmsql.suites.neighbours.rows import neighbour_rows

ROUND = 12  # neighbours that are tried at once
ROUNDS = 8
TIMES = 3  # neighbours that tell each mutant apart: real mistakes differ from the mutants
PATIENCE = 2  # rounds without a new kill, after which no more are tried
ALL_ROWS = 10**9
LARGEST = 2 * 2**20  # bytes of a neighbour
# A kill in mode `bird` holds in all modes. What only `strict` tells apart (duplicates, order) needs
# neighbours of its own.
MODES = (Match.BIRD, Match.STRICT)

Target = tuple[int, Match]  # position of a mutant, and the mode in which it is told apart


@dataclass(frozen=True, slots=True)
class Trial:
    """Neighbours of one gold query, each with the mutants that it tells from the gold query."""

    mutants: tuple[Mutant, ...]
    killed: Mapping[Path, frozenset[Target]]
    rows: Mapping[Path, int]
    """Number of rows of the gold result."""

    def chosen(self, times: int = TIMES) -> list[Path]:
        """The fewest neighbours that kill as much as all; at least one has a gold result."""
        chosen = smallest_cover(self.killed, times)
        full = [path for path, count in self.rows.items() if count]
        if full and not any(self.rows[path] for path in chosen):
            chosen.append(full[0])
        return chosen


def try_neighbours(
    gold: str,
    profile: Profile,
    executor: Executor,
    folder: Path,
    *,
    evidence: str = "",
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Trial:
    """Write neighbours to a folder, and run the gold query and its mutants on them.

    A neighbour on which the gold result is an accident (it fails, uses the clock, or changes when
    rows are stored in another order) is of no use and not in the trial.

    Args:
        gold: the gold query.
        profile: of its database.
        executor: runs the queries.
        folder: for the neighbours.
        evidence: what the benchmark says beside the question.
        seed: of the rows.
        rounds: of `ROUND` neighbours, at most; it stops after `PATIENCE` rounds without a new kill.

    Raises:
        InputError: a neighbour cannot be written, for instance because a CHECK uses a function that
            SQLite does not have.
    """
    trial, idle = Trial(tuple(mutants(gold, profile)), {}, {}), 0
    drawn = neighbour_rounds(gold, profile, folder, evidence=evidence, seed=seed, rounds=rounds)
    for number, paths in enumerate(drawn):
        near_misses = trial.mutants
        if number == 0 and paths:
            near_misses = running(near_misses, paths[0], executor)
        rows = usable(gold, paths, executor)
        killed = killed_on(gold, near_misses, list(rows), executor)
        before = len(set().union(*trial.killed.values()))
        trial = Trial(near_misses, {**trial.killed, **killed}, {**trial.rows, **rows})
        after = len(set().union(*trial.killed.values()))
        idle = 0 if after > before else idle + 1
        if after == len(MODES) * len(near_misses) or idle >= PATIENCE:
            break
    return trial


def neighbour_rounds(
    gold: str, profile: Profile, folder: Path, *, evidence: str, seed: int, rounds: int
) -> Iterator[list[Path]]:
    """Write neighbours to a folder, `ROUND` at a time. Those larger than 2 MB are not listed.

    The arguments are those of `try_neighbours`.

    Raises:
        InputError: a neighbour cannot be written, for instance because a CHECK uses a function that
            SQLite does not have.
    """
    focus = read_focus(gold, profile, evidence)
    profile = with_joins(profile, focus.equal)
    for number in range(rounds):
        yield _written(profile, focus, folder, number, f"{seed} {gold}")


def _written(profile: Profile, focus: Focus, folder: Path, number: int, seed: str) -> list[Path]:
    paths = []
    for index in range(number * ROUND, (number + 1) * ROUND):
        rows = neighbour_rows(profile, focus, random.Random(f"{seed} {index}"))
        path = folder / f"{index}.sqlite"
        fillings = {t.name: Filling(t.columns, rows[t.name]) for t in profile.tables}
        create_filled(path, profile.before, fillings, profile.after)
        if path.stat().st_size <= LARGEST:
            paths.append(path)
    return paths


def running(near_misses: Sequence[Mutant], path: Path, executor: Executor) -> tuple[Mutant, ...]:
    """The mutants that are valid SQL on this database."""
    executions = executor.run([Statement(path, mutant.sql) for mutant in near_misses])
    return tuple(m for m, run in zip(near_misses, executions, strict=True) if run.ok)


def usable(gold: str, paths: Sequence[Path], executor: Executor) -> dict[Path, int]:
    """The neighbours on which the gold result is no accident, with its number of rows."""
    executions = executor.run([Statement(path, gold) for path in paths], preview=ALL_ROWS)
    sound = {
        path: execution
        for path, execution in zip(paths, executions, strict=True)
        if execution.ok and not execution.volatile
    }
    for path in [*_cut_by_chance(gold, sound, executor), *_open_ties(gold, sound, executor)]:
        sound.pop(path, None)
    if _depends_on_storage(gold):
        sound = _steady(gold, sound, executor)
    return {path: execution.row_count for path, execution in sound.items()}


def _cut_by_chance(gold: str, paths: Iterable[Path], executor: Executor) -> Iterator[Path]:
    """The neighbours on which a LIMIT cuts between rows that sort equal, or keeps a NULL."""
    for query, limit in all_tie_queries(gold):
        statements = [Statement(path, query) for path in paths]
        executions = executor.run(statements, preview=limit + 1)
        for statement, execution in zip(statements, executions, strict=True):
            rows = execution.rows
            cuts = 0 < limit < len(rows) and rows[limit - 1] == rows[limit]
            if cuts or any(None in row for row in rows[:limit]):
                yield statement.database


def _open_ties(
    gold: str, executions: Mapping[Path, Execution], executor: Executor
) -> Iterator[Path]:
    """The neighbours on which the query sorts different rows of its result equal."""
    query = sort_keys_query(gold)
    if query is None:
        return
    statements = [Statement(path, query) for path in executions]
    for statement, keys in zip(statements, executor.run(statements, preview=ALL_ROWS), strict=True):
        rows = executions[statement.database].rows
        pairs = zip(pairwise(keys.rows), pairwise(rows), strict=len(keys.rows) == len(rows))
        if any(first == second and here != there for (first, second), (here, there) in pairs):
            yield statement.database


def _steady(
    gold: str, executions: Mapping[Path, Execution], executor: Executor
) -> dict[Path, Execution]:
    """Those whose gold result stays the same if rows are stored in reverse order."""
    copies = [Statement(_reversed(path), gold) for path in executions]
    ordered = orders_rows(gold)
    return {
        path: execution
        for (path, execution), other in zip(
            executions.items(), executor.run(copies, preview=ALL_ROWS), strict=True
        )
        if other.ok and same_result(execution.rows, other.rows, Match.STRICT, ordered=ordered)
    }


def _depends_on_storage(gold: str) -> bool:
    """Whether the result may depend on the order in which rows are stored."""
    tree = parsed(gold)
    kinds = (exp.Limit, exp.Order, exp.Group, exp.Window, exp.GroupConcat, exp.AggFunc)
    return tree is None or tree.find(*kinds) is not None


def _reversed(path: Path) -> Path:
    copy = path.with_suffix(".reversed")
    create_reversed_copy(path, copy)
    return copy


def killed_on(
    gold: str, near_misses: Sequence[Mutant], paths: Sequence[Path], executor: Executor
) -> dict[Path, frozenset[Target]]:
    """By neighbour: the mutants that run on it and have another result, and in which mode."""
    left = [(path, index) for path in paths for index in range(len(near_misses))]
    killed: dict[Path, set[Target]] = {path: set() for path in paths}
    for mode in reversed(MODES):  # what `strict` calls equal, `bird` calls equal too
        pairs = [Pair(path, near_misses[index].sql, gold) for path, index in left]
        verdicts = executor.judge(pairs, match=mode)
        left = [
            key
            for key, verdict in zip(left, verdicts, strict=True)
            if verdict.predicted.ok and verdict.correct is False
        ]
        for path, index in left:
            killed[path].add((index, mode))
    return {path: frozenset(targets) for path, targets in killed.items()}
