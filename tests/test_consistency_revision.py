"""What the merge model sees, and what its answers count."""

import pytest

from slmsql.consistency.candidates import Candidate
from slmsql.consistency.prediction import DecidedBy
from slmsql.consistency.revision import (
    Revision,
    RevisionSettings,
    needs_revision,
    repair_prompt,
    revision_prompts,
    second_vote,
)
from slmsql.consistency.voting import VotingRules, group_by_result
from slmsql.execution import Executor, Status
from slmsql.questions.question import Question
from tests.test_consistency_voting import candidates, failed, ran


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def prompt(singers, executor, queries, **settings):
    """The text of the revision prompt for drafts with these queries."""
    question = Question("q", "Who is oldest?", "singers", singers)
    groups = group_by_result(
        [Candidate(sql, status=Status.OK, digest=str(n)) for n, sql in enumerate(queries)]
    )
    revision_settings = RevisionSettings(**settings)
    (messages,) = revision_prompts([Revision(question, groups)], executor, revision_settings)
    return "\n".join(message["content"] for message in messages)


def test_two_groups_are_revised_even_if_they_tie():
    assert needs_revision(group_by_result(candidates("aabb")), RevisionSettings())


def test_nothing_is_revised_if_all_agree_or_nothing_ran():
    for letters in ("aaa", "axx", "xxx", "a"):
        assert not needs_revision(group_by_result(candidates(letters)), RevisionSettings())


def test_with_a_consensus_a_clear_majority_is_not_revised():
    groups = group_by_result(candidates("aaaab"))
    assert not needs_revision(groups, RevisionSettings(consensus=0.8))
    assert needs_revision(groups, RevisionSettings(consensus=0.9))


def test_drafts_that_begin_with_a_table_expression_are_revised(singers, executor):
    """Upstream asks that a draft begin with SELECT."""
    query = "WITH old AS (SELECT * FROM singer WHERE age > 26) SELECT name FROM old"
    text = prompt(singers, executor, [query, "SELECT name FROM singer"])
    assert query in text
    assert "2 rows of name\n('Ann')\n('Cid')" in text


def test_a_long_query_is_shown_whole_with_its_lines_and_comments(singers, executor):
    """Upstream cuts at 500 characters, in the middle of a word, and joins lines."""
    query = "SELECT name -- the name; not the id\nFROM singer\nWHERE name IN ("
    query += ", ".join(f"'singer number {number}'" for number in range(100)) + ")"
    assert query in prompt(singers, executor, [query, "SELECT 1"])


def test_the_schema_is_that_of_the_drafts(singers, executor):
    text = prompt(singers, executor, ["SELECT name FROM singer", "SELECT count(*) FROM singer"])
    assert "CREATE TABLE singer" in text
    assert "CREATE TABLE song" not in text
    assert "age" not in text


def test_show_votes_shows_the_votes(singers, executor):
    queries = ["SELECT 1", "SELECT 2"]
    assert "candidates agree" not in prompt(singers, executor, queries)
    assert "(1 candidates agree)" in prompt(singers, executor, queries, show_votes=True)


def test_the_number_of_drafts_is_an_option(singers, executor):
    queries = ["SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4"]
    assert "SELECT 3" not in prompt(singers, executor, queries)
    assert "SELECT 3" in prompt(singers, executor, queries, drafts=3)


def settled(first, second, **settings):
    groups = group_by_result(candidates(first))
    return second_vote("q", groups, candidates(second), RevisionSettings(**settings))


def test_the_revisions_decide():
    prediction = settled("aaab", "bbbb")
    assert (prediction.sql, prediction.decided_by) == ("SELECT 'b'", DecidedBy.REVISED)
    assert (prediction.votes, prediction.candidates) == (5, 8)


def test_the_first_vote_breaks_a_tie_of_the_revisions():
    assert settled("aaab", "bbaa", first_vote_weight=0).sql == "SELECT 'a'"
    assert settled("aaab", "bcbc", first_vote_weight=0).sql == "SELECT 'b'"


def test_the_weight_of_the_first_vote_is_an_option():
    assert settled("aaaab", "bbbaa", first_vote_weight=0).sql == "SELECT 'b'"
    assert settled("aaaab", "bbbaa", first_vote_weight=1).sql == "SELECT 'a'"


def test_revisions_that_disagree_change_nothing():
    assert settled("aaab", "cdefghij").sql == "SELECT 'a'"
    assert settled("aaab", "bxxxxxxx").sql == "SELECT 'a'"


def test_a_result_that_no_draft_had_can_win():
    assert settled("aabb", "cccc").sql == "SELECT 'c'"


@pytest.mark.parametrize("second", ["xxxx", ""])
def test_if_no_revision_runs_the_first_vote_stands(second):
    """Upstream gives one of the revisions that do not run, drawn at random."""
    prediction = settled("aab", second)
    assert (prediction.sql, prediction.decided_by) == ("SELECT 'a'", DecidedBy.FALLBACK)


def test_a_revision_that_runs_beats_many_that_do_not():
    revised = [failed(), failed(), failed(), ran("b")]
    groups = group_by_result(candidates("aab"))
    assert (
        second_vote("q", groups, revised, RevisionSettings(first_vote_weight=0)).sql == "SELECT 'b'"
    )


def test_a_repair_shows_the_answer_and_its_error():
    messages = [{"role": "user", "content": "question"}]
    broken = Candidate("SELEC", "<answer>SELEC</answer>", Status.ERROR, 'near "SELEC": syntax')
    repair = repair_prompt(messages, broken)
    assert [message["role"] for message in repair] == ["user", "assistant", "user"]
    assert 'near "SELEC"' in repair[-1]["content"]


def test_empty_revisions_have_no_vote_if_empty_results_have_none():
    rules = VotingRules(empty_votes=False)
    groups = group_by_result(candidates("aab"), rules)
    revised = [ran("e", rows=0)] * 3 + [ran("b")]
    assert second_vote("q", groups, revised, RevisionSettings(), rules).sql == "SELECT 'b'"
    assert second_vote("q", groups, revised, RevisionSettings()).sql == "SELECT 'e'"
