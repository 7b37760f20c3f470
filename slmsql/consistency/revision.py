"""Corrective self-consistency: the best groups become drafts, a model settles between them.

The drafts' results and the part of the schema that they use go into `revision_prompt`; what the
model answers takes part in a second vote. Training data for the merge model comes from here too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slmsql.consistency.candidates import Candidate
from slmsql.consistency.prediction import DecidedBy, Prediction
from slmsql.consistency.voting import COUNTING, ResultGroup, Rules, group_by_result
from slmsql.execution import Execution, Executor, Statement
from slmsql.prompt.build import Draft, Messages, asked_text, read_template, revision_prompt
from slmsql.prompt.result_text import result_text
from slmsql.questions.question import Question
from slmsql.schema.reading import read_schema
from slmsql.schema.used_columns import used_schema
from slmsql.values.finding import find_values


@dataclass(frozen=True, slots=True)
class RevisionSettings:
    """Everything that decides a revision's prompt and its vote."""

    template: str = "merge"
    drafts: int = 2
    """How many of the best groups the merge model sees."""
    sample_values: int = 2
    """Values shown of each column."""
    retrieve_values: bool = False
    """Whether the schema shows values that the question speaks of, as in generation."""
    max_rows: int = 20
    """Rows shown of each result at most."""
    result_tokens: int = 300
    """Bound of each result's text, by an estimate that needs no tokenizer."""
    show_votes: bool = False
    """Whether a draft says how many candidates agree with it."""
    consensus: float = 1.0
    """A leader with this share of the votes or more is not revised; 1 revises all but the
    unanimous."""
    first_vote_weight: float = 1.0
    """What the first stage's share of votes counts in the second vote; 0 leaves it out, as
    published."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A question whose best groups are to be settled."""

    question: Question
    groups: tuple[ResultGroup, ...]
    """The drafts' groups, best first."""


def needs_revision(groups: Sequence[ResultGroup], revision_settings: RevisionSettings) -> bool:
    """Whether there is anything to settle: two groups at least, and no clear majority."""
    if len(groups) < 2:
        return False
    return groups[0].weight < revision_settings.consensus * sum(group.weight for group in groups)


def revision_prompts(
    revisions: Sequence[Revision], executor: Executor, revision_settings: RevisionSettings
) -> list[Messages]:
    """The merge model's prompts: question, drafts, their results, and the schema they use."""
    statements = [
        Statement(revision.question.database, group.sql)
        for revision in revisions
        for group in revision.groups[: revision_settings.drafts]
    ]
    executions = iter(executor.run(statements, preview=revision_settings.max_rows))
    return [_prompt(revision, executions, revision_settings) for revision in revisions]


def draft(group: ResultGroup, execution: Execution, revision_settings: RevisionSettings) -> Draft:
    """A group as the merge model sees it."""
    text = result_text(execution, tokens=revision_settings.result_tokens)
    votes = f"({group.votes} candidates agree) " if revision_settings.show_votes else ""
    return Draft(group.sql, votes + text)


def second_vote(
    identity: str,
    groups: Sequence[ResultGroup],
    revised: Sequence[Candidate],
    revision_settings: RevisionSettings,
    rules: Rules = COUNTING,
) -> Prediction:
    """Choose by the evidence of both stages, so that what comes out runs if anything ran.

    A result's score is its share of the revisions, those that fail included, plus
    `first_vote_weight` times its share of the first vote: a merge model that often fails or
    scatters changes little. Ties go to the result that ranked higher in the first vote. If no
    revision runs, the winner of the first vote stands.
    """
    again = {group.digest: group for group in group_by_result(revised, rules)}
    if not again:
        total = sum(group.votes for group in groups)
        return Prediction(identity, groups[0].sql, groups[0].votes, total, DecidedBy.FALLBACK)
    scores = {
        group.digest: revision_settings.first_vote_weight * share
        for group, share in _shares(groups)
    }
    every = _all_weight(revised, again)
    for digest, group in again.items():
        scores[digest] = scores.get(digest, 0.0) + group.weight / every
    best = max(scores, key=lambda digest: scores[digest])  # first of equals: the first stage's
    before = {group.digest: group for group in groups}
    found = [stage[best] for stage in (again, before) if best in stage]
    votes = sum(group.votes for group in found)
    total = len(revised) + sum(group.votes for group in groups)
    return Prediction(identity, found[0].sql, votes, total, DecidedBy.REVISED)


def repair_prompt(messages: Messages, failed: Candidate) -> Messages:
    """The conversation so far, the answer that failed, and what the database said to it."""
    request = (
        f"That query does not run. The database says: {failed.error}\n"
        "Correct it and answer in the same form as before."
    )
    return [
        *messages,
        {"role": "assistant", "content": failed.completion},
        {"role": "user", "content": request},
    ]


def _prompt(
    revision: Revision, executions: Iterator[Execution], revision_settings: RevisionSettings
) -> Messages:
    chosen = revision.groups[: revision_settings.drafts]
    drafts = [draft(group, next(executions), revision_settings) for group in chosen]
    question = revision.question
    schema = read_schema(
        question.database,
        sample_values=revision_settings.sample_values,
        brief=revision_settings.retrieve_values,
    )
    used = used_schema(schema, [group.sql for group in chosen])
    found = (
        find_values(asked_text(question), question.database)
        if revision_settings.retrieve_values
        else {}
    )
    template = read_template(revision_settings.template)
    return revision_prompt(question, used.text(found), drafts, template)


def _shares(groups: Sequence[ResultGroup]) -> list[tuple[ResultGroup, float]]:
    total = sum(group.weight for group in groups) or 1.0
    return [(group, group.weight / total) for group in groups]


def _all_weight(revised: Sequence[Candidate], groups: Mapping[str | None, ResultGroup]) -> float:
    """What all revisions would weigh: those that do not run count one each."""
    ran = sum(group.weight for group in groups.values())
    return ran + sum(not one.ok for one in revised) or 1.0
