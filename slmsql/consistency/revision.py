"""Corrective self-consistency: a merge model revises the best groups, then a second vote decides.

The best groups become drafts. The prompt shows each draft's SQL and result, and the part of the
schema that the drafts use. The training data of the merge model is built with the same functions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slmsql.consistency.candidates import Candidate
from slmsql.consistency.prediction import DecidedBy, Prediction
from slmsql.consistency.voting import COUNTING, ResultGroup, VotingRules, group_by_result
from slmsql.execution import Execution, Executor, Statement
from slmsql.prompt.build import Draft, Messages, read_template, revision_prompt
from slmsql.prompt.result_text import result_text
from slmsql.questions.question import Question
from slmsql.schema.reading import read_schema
from slmsql.schema.used_columns import used_schema
from slmsql.values.finding import find_values


@dataclass(frozen=True, slots=True)
class RevisionSettings:
    """Everything that determines a revision's prompt and the second vote."""

    template: str = "merge"
    drafts: int = 2
    """Number of groups that the merge model sees, the best first."""
    sample_values: int = 2
    """Example values shown for each column."""
    retrieve_values: bool = False
    """Whether the schema shows values that the question names, as in generation."""
    max_rows: int = 20
    """Largest number of rows shown of each result."""
    result_tokens: int = 300
    """Token budget for each result's text, by an estimate that needs no tokenizer."""
    show_votes: bool = False
    """Whether each draft shows its number of votes."""
    consensus: float = 1.0
    """A question is revised if its leader's share of the votes is below this; with 1, every
    question whose vote is not unanimous."""
    first_vote_weight: float = 1.0
    """Weight of the first vote's shares in the second vote; 0, as published, ignores them."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A question to revise, with the groups of its first vote."""

    question: Question
    groups: tuple[ResultGroup, ...]
    """Best first; the first of them become the drafts."""


def needs_revision(groups: Sequence[ResultGroup], revision_settings: RevisionSettings) -> bool:
    """Whether the vote is in doubt: there are two groups or more, and no consensus."""
    if len(groups) < 2:
        return False
    return groups[0].weight < revision_settings.consensus * sum(group.weight for group in groups)


def revision_prompts(
    revisions: Sequence[Revision], executor: Executor, revision_settings: RevisionSettings
) -> list[Messages]:
    """The merge model's prompts: the question, the drafts, their results, the schema they use."""
    statements = [
        Statement(revision.question.database, group.sql)
        for revision in revisions
        for group in revision.groups[: revision_settings.drafts]
    ]
    executions = iter(executor.run(statements, preview=revision_settings.max_rows))
    return [_prompt(revision, executions, revision_settings) for revision in revisions]


def draft(group: ResultGroup, execution: Execution, revision_settings: RevisionSettings) -> Draft:
    """A group as the prompt shows it."""
    text = result_text(execution, tokens=revision_settings.result_tokens)
    votes = f"({group.votes} candidates agree) " if revision_settings.show_votes else ""
    return Draft(group.sql, votes + text)


def second_vote(
    identity: str,
    groups: Sequence[ResultGroup],
    revised: Sequence[Candidate],
    revision_settings: RevisionSettings,
    rules: VotingRules = COUNTING,
) -> Prediction:
    """Choose a result by both votes.

    The score of a result is its share of all revisions, including those that fail, plus
    `first_vote_weight` times its share of the first vote. So a merge model whose revisions often
    fail or disagree changes little. Ties go to the result that ranked higher in the first vote.
    If no revision runs, the winner of the first vote stands.

    Args:
        identity: the question's id.
        groups: the groups of the first vote, best first.
        revised: the merge model's answers, which have run.
        revision_settings: where `first_vote_weight` is set.
        rules: the rules of the second vote.
    """
    first = {group.digest: group for group in groups}
    second = {group.digest: group for group in group_by_result(revised, rules)}
    first_total = sum(group.votes for group in groups)
    if not second:
        leader = groups[0]
        return Prediction(identity, leader.sql, leader.votes, first_total, DecidedBy.FALLBACK)
    scores = _scores(first, second, revised, revision_settings.first_vote_weight)
    best = max(scores, key=lambda digest: scores[digest])  # of equal scores the first vote's best
    winners = [groups_of_vote[best] for groups_of_vote in (second, first) if best in groups_of_vote]
    votes = sum(group.votes for group in winners)
    total = len(revised) + first_total
    return Prediction(identity, winners[0].sql, votes, total, DecidedBy.REVISED)


def repair_prompt(messages: Messages, failed: Candidate) -> Messages:
    """The conversation so far, the answer that failed, and the database's error message."""
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
    values = (
        find_values(question.text_with_evidence, question.database)
        if revision_settings.retrieve_values
        else {}
    )
    template = read_template(revision_settings.template)
    return revision_prompt(question, used.text(values), drafts, template)


def _scores(
    first: Mapping[str | None, ResultGroup],
    second: Mapping[str | None, ResultGroup],
    revised: Sequence[Candidate],
    first_vote_weight: float,
) -> dict[str | None, float]:
    """The score of each result in both votes, those of the first vote first."""
    first_total = sum(group.weight for group in first.values()) or 1.0
    failed = sum(not candidate.ok for candidate in revised)  # each counts like a vote of weight 1
    second_total = sum(group.weight for group in second.values()) + failed or 1.0
    scores = {
        digest: first_vote_weight * (group.weight / first_total) for digest, group in first.items()
    }
    for digest, group in second.items():
        scores[digest] = scores.get(digest, 0.0) + group.weight / second_total
    return scores
