"""The loop of every program that samples: draw what the journal lacks, and record each question."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from inference.sampling.journal import Journal
from inference.sampling.progress import Progress
from inference.sampling.sampler import Sampler
from inference.sampling.scheduler import Task, draw
from slmsql.errors import InputError
from slmsql.execution import Executor

T = TypeVar("T")


def record_missing(
    name: str,
    wanted: Mapping[str, T],
    tasks: Callable[[Sequence[T]], Iterable[Task]],
    get_sampler: Callable[[], Sampler],
    executor: Executor,
    journal: Journal,
) -> None:
    """Sample each wanted question that the journal does not have, then finish the journal.

    Args:
        name: what the progress bar says.
        wanted: what to sample, by question id, in the order of the output.
        tasks: makes the tasks of what is missing.
        get_sampler: loads the model; called only if something is missing.
        executor: where the SQL runs.
        journal: where the answers go.

    Raises:
        InputError: some questions got no answer; the others are in the journal.
    """
    missing = [item for identity, item in wanted.items() if identity not in journal.records]
    if missing:
        sampler = get_sampler()
        progress = Progress(name, len(missing) + len(journal.records), len(journal.records))
        failures: list[str] = []
        for sampled in draw(tasks(missing), sampler, executor):
            progress.step(sampled.tokens)
            if sampled.error:
                failures.append(f"{sampled.candidate_set.id}: {sampled.error}")
            else:
                journal.add(sampled.as_record())
        progress.finish()
        if failures:
            raise InputError(
                f"{len(failures)} questions got no answer; the same command tries them again "
                f"({failures[0]})"
            )
    journal.finish(list(wanted))
