"""The second stage in steps: first vote, what is doubtful, its revisions, the second vote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inference.sampling.journal import Journal
from inference.sampling.progress import Progress
from inference.sampling.sampler import Sampler
from inference.sampling.scheduler import SamplingPlan, Task, draw
from slmsql.consistency.candidates import CandidateSet, read_record
from slmsql.consistency.prediction import Prediction
from slmsql.consistency.revision import (
    Revision,
    RevisionSettings,
    needs_revision,
    revision_prompts,
    second_vote,
)
from slmsql.consistency.voting import COUNTING, Rules, group_by_result, vote
from slmsql.errors import InputError
from slmsql.execution import Executor
from slmsql.questions.question import Question

BATCH = 64  # questions whose drafts are run together for their prompts


@dataclass(frozen=True, slots=True)
class FirstVote:
    """What the candidates decided, and the questions that are still doubtful."""

    sets: Sequence[CandidateSet]
    predictions: Sequence[Prediction]
    doubtful: Mapping[str, Revision]


def first_vote(
    questions: Sequence[Question],
    sets: Sequence[CandidateSet],
    revision_settings: RevisionSettings,
    rules: Rules,
) -> FirstVote:
    """Vote on candidates that have run."""
    doubtful = {}
    for question, found in zip(questions, sets, strict=True):
        groups = group_by_result(found.candidates, rules)
        if needs_revision(groups, revision_settings):
            doubtful[question.id] = Revision(question, groups)
    return FirstVote(sets, [vote(found, rules) for found in sets], doubtful)


def revise(
    revisions: Sequence[Revision],
    sampler: Sampler,
    executor: Executor,
    journal: Journal,
    revision_settings: RevisionSettings,
    plan: SamplingPlan,
) -> None:
    """Draw the merge model's answers into the journal.

    Raises:
        InputError: the sampler gave up on some questions; the others are in the journal.
    """
    progress = Progress("revise", len(revisions) + len(journal.records), len(journal.records))
    failed: list[str] = []
    for drawn in draw(_tasks(revisions, executor, revision_settings, plan), sampler, executor):
        progress.step(drawn.tokens)
        if drawn.error:
            failed.append(f"{drawn.candidates.id}: {drawn.error}")
        else:
            journal.add(drawn.as_record())
    progress.finish()
    if failed:
        raise InputError(
            f"{len(failed)} questions got no revision; the same command tries them again "
            f"({failed[0]})"
        )


def second_votes(
    first: FirstVote, journal: Journal, revision_settings: RevisionSettings, rules: Rules = COUNTING
) -> list[Prediction]:
    """The predictions of both stages, in the order of the questions."""
    return [
        _second(first.doubtful[one.id], journal, revision_settings, rules)
        if one.id in first.doubtful
        else one
        for one in first.predictions
    ]


def _second(
    revision: Revision, journal: Journal, revision_settings: RevisionSettings, rules: Rules
) -> Prediction:
    identity = revision.question.id
    revised = read_record(journal.records[identity], f"{journal.output}, {identity}")
    return second_vote(identity, revision.groups, revised.candidates, revision_settings, rules)


def _tasks(
    revisions: Sequence[Revision],
    executor: Executor,
    revision_settings: RevisionSettings,
    plan: SamplingPlan,
) -> Iterator[Task]:
    for start in range(0, len(revisions), BATCH):
        part = revisions[start : start + BATCH]
        prompts = revision_prompts(part, executor, revision_settings)
        for revision, messages in zip(part, prompts, strict=True):
            yield Task(revision.question, messages, plan)
