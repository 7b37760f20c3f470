"""The loop of every program that samples: draw what the journal lacks, and record each question."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from slmsql.errors import InputError
from slmsql.execution import Executor
from slmsql.sampling.journal import Journal
from slmsql.sampling.progress import Progress
from slmsql.sampling.sampler import Sampler
from slmsql.sampling.scheduler import SampledQuestion, Task, draw

T = TypeVar("T")
# Errors of databases and processes; any other exception is a bug of ours.
EXPECTED = (InputError, OSError, RuntimeError)


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
        InputError: some questions got no answer, or the model refused every prompt; answers are in
            the journal.
    """
    missing = [item for identity, item in wanted.items() if identity not in journal.records]
    if missing:
        sampled = draw(tasks(missing), get_sampler(), executor)
        progress = Progress(name, len(wanted), len(wanted) - len(missing))
        try:
            failure = _record(sampled, progress, journal)
        finally:
            progress.finish()
        if failure:
            unanswered = sum(identity not in journal.records for identity in wanted)
            raise InputError(
                f"{unanswered} questions got no answer; the same command tries them again "
                f"({failure})"
            )
    _report_refusals(journal)
    journal.finish(list(wanted))


def _record(questions: Iterable[SampledQuestion], progress: Progress, journal: Journal) -> str:
    """Record the questions as they are done; returns an error of those that have no answer, if any.

    An error that other questions would meet too ends the loop. Refusals are recorded last, and only
    if another question has an answer: if the model refuses every prompt, the fault is elsewhere.
    """
    failure = ""
    refusals: list[SampledQuestion] = []
    for sampled in questions:
        progress.step(sampled.tokens)
        if sampled.cause and not isinstance(sampled.cause, EXPECTED):
            raise sampled.cause
        if sampled.fatal:
            failure = sampled.error or ""
            break
        if sampled.error:
            failure = failure or f"{sampled.candidate_set.id}: {sampled.error}"
        elif sampled.refusal:
            refusals.append(sampled)
        else:
            journal.add(sampled.as_record())
    if refusals and not journal.records and not failure:
        raise InputError(f"the model refuses every prompt: {refusals[0].refusal}")
    for sampled in refusals:
        journal.add(sampled.as_record())
    return failure


def _report_refusals(journal: Journal) -> None:
    refusals = [record for record in journal.records.values() if "refused" in record]
    if refusals:
        print(
            f"{len(refusals)} of {len(journal.records)} prompts are too long or were refused, and "
            f"got no completion ({refusals[0]['id']}: {refusals[0]['refused']})",
            file=sys.stderr,
        )
