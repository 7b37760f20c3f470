"""The second stage in steps: first vote, what is doubtful, its revisions, the second vote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inference.drawing import Plan, Task, draw
from inference.journal import Journal
from inference.progress import Progress
from inference.samplers import Sampler
from slmsql.candidates import CandidateSet, read_record
from slmsql.errors import InputError
from slmsql.execution import Executor
from slmsql.prediction import Prediction
from slmsql.question import Question
from slmsql.revision import Revising, Revision, needs_revision, revision_prompts, second_vote
from slmsql.voting import COUNTING, Rules, group_by_result, vote

BATCH = 64  # questions whose drafts are run together for their prompts


@dataclass(frozen=True, slots=True)
class FirstVote:
    """What the candidates decided, and the questions that are still doubtful."""

    sets: Sequence[CandidateSet]
    predictions: Sequence[Prediction]
    doubtful: Mapping[str, Revision]


def first_vote(
    questions: Sequence[Question], sets: Sequence[CandidateSet], revising: Revising, rules: Rules
) -> FirstVote:
    """Vote on candidates that have run."""
    doubtful = {}
    for question, found in zip(questions, sets, strict=True):
        groups = group_by_result(found.candidates, rules)
        if needs_revision(groups, revising):
            doubtful[question.id] = Revision(question, groups)
    return FirstVote(sets, [vote(found, rules) for found in sets], doubtful)


def revise(
    revisions: Sequence[Revision],
    sampler: Sampler,
    executor: Executor,
    journal: Journal,
    revising: Revising,
    plan: Plan,
) -> None:
    """Draw the merge model's answers into the journal.

    Raises:
        InputError: the sampler gave up on some questions; the others are in the journal.
    """
    progress = Progress("revise", len(revisions) + len(journal.records), len(journal.records))
    failed: list[str] = []
    for drawn in draw(_tasks(revisions, executor, revising, plan), sampler, executor):
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
    first: FirstVote, journal: Journal, revising: Revising, rules: Rules = COUNTING
) -> list[Prediction]:
    """The predictions of both stages, in the order of the questions."""
    return [
        _second(first.doubtful[one.id], journal, revising, rules)
        if one.id in first.doubtful
        else one
        for one in first.predictions
    ]


def _second(revision: Revision, journal: Journal, revising: Revising, rules: Rules) -> Prediction:
    identity = revision.question.id
    revised = read_record(journal.records[identity], f"{journal.output}, {identity}")
    return second_vote(identity, revision.groups, revised.candidates, revising, rules)


def _tasks(
    revisions: Sequence[Revision], executor: Executor, revising: Revising, plan: Plan
) -> Iterator[Task]:
    for start in range(0, len(revisions), BATCH):
        part = revisions[start : start + BATCH]
        prompts = revision_prompts(part, executor, revising)
        for revision, messages in zip(part, prompts, strict=True):
            yield Task(revision.question, messages, plan)
