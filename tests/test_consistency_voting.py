"""The rules of the vote, among them each case in which upstream's vote goes wrong."""

from pathlib import Path

import pytest

from slmsql.consistency.candidates import Candidate, CandidateSet
from slmsql.consistency.prediction import DecidedBy
from slmsql.consistency.voting import (
    COUNTING,
    VoteWeight,
    VotingRules,
    confidence,
    group_by_result,
    is_decided,
    vote,
)
from slmsql.errors import InputError
from slmsql.execution import Status


def ran(letter, *, rows=1, logprob=None, number=0):
    sql = f"SELECT '{letter}{number or ''}'"
    return Candidate(sql, status=Status.OK, digest=letter, row_count=rows, logprob=logprob)


def failed(sql="SELEC 1"):
    return Candidate(sql, status=Status.ERROR, error="syntax error")


def candidates(letters):
    """One candidate a letter; `x` stands for one that does not run, `e` for an empty result."""
    made = {"x": failed()}
    return [made.get(letter) or ran(letter, rows=0 if letter == "e" else 1) for letter in letters]


def chosen(voters, rules=COUNTING):
    return vote(CandidateSet("q", "db", Path("db.sqlite"), tuple(voters)), rules)


def letters(groups):
    return [(group.digest, group.votes) for group in groups]


def test_the_largest_group_wins():
    prediction = chosen(candidates("abbac" + "b"))
    assert (prediction.sql, prediction.votes, prediction.candidates) == ("SELECT 'b'", 3, 6)
    assert prediction.decided_by is DecidedBy.MAJORITY


def test_exact_ties_of_the_best_two_give_two_groups():
    """Upstream keeps one of them, so that its most uncertain questions are never revised."""
    assert letters(group_by_result(candidates("aaabbbc"))[:2]) == [("a", 3), ("b", 3)]


@pytest.mark.parametrize("order", ["aaccbbbbb", "bbbbbaacc"])
def test_ties_for_second_place_go_to_the_first_that_appeared(order):
    """Upstream's second place depends on where the winner stands among them."""
    assert letters(group_by_result(candidates(order))[:2]) == [("b", 5), ("a", 2)]


def test_equal_groups_are_decided_by_first_appearance():
    assert chosen(candidates("baab")).sql == "SELECT 'b'"


def test_the_sql_of_a_group_is_that_of_its_first_member():
    assert chosen([ran("a", number=1), ran("b"), ran("a", number=2)]).sql == "SELECT 'a1'"


def test_errors_do_not_vote():
    assert chosen(candidates("xxxxa")).sql == "SELECT 'a'"


def test_candidates_that_ran_and_agree_are_unanimous_whatever_failed():
    assert chosen(candidates("xaxa")).decided_by is DecidedBy.UNANIMOUS


def test_if_nothing_runs_the_first_candidate_with_sql_is_returned():
    """Upstream draws one at random, without a seed."""
    no_sql = Candidate(None, status=Status.ERROR, error="there is no SQL")
    prediction = chosen([no_sql, failed("SELECT first"), failed("SELECT second")])
    assert (prediction.sql, prediction.votes) == ("SELECT first", 0)
    assert prediction.decided_by is DecidedBy.NONE


def test_one_candidate_needs_no_vote():
    assert chosen(candidates("a")).decided_by is DecidedBy.ONLY
    assert chosen(candidates("x")).decided_by is DecidedBy.NONE


def test_no_candidate_at_all_is_an_empty_answer():
    prediction = chosen([])
    assert (prediction.sql, prediction.decided_by) == ("", DecidedBy.NONE)


def test_empty_results_vote_like_others():
    assert chosen(candidates("eea")).sql == "SELECT 'e'"


def test_empty_votes_false_ignores_empty_results():
    assert chosen(candidates("eea"), VotingRules(empty_votes=False)).sql == "SELECT 'a'"


def test_an_empty_result_without_a_vote_still_beats_what_does_not_run():
    assert chosen(candidates("xxe"), VotingRules(empty_votes=False)).sql == "SELECT 'e'"


def test_votes_can_be_weighted_by_probability():
    voters = [ran("a", logprob=-2.0), ran("a", logprob=-2.0), ran("b", logprob=-0.1)]
    assert chosen(voters).sql == "SELECT 'a'"
    assert chosen(voters, VotingRules(weight=VoteWeight.LOGPROB)).sql == "SELECT 'b'"


def test_a_vote_by_probability_needs_probabilities():
    with pytest.raises(InputError, match="--logprobs true"):
        chosen(candidates("ab"), VotingRules(weight=VoteWeight.LOGPROB))


def test_the_same_candidates_give_the_same_vote():
    voters = candidates("abcxeabcxe")
    assert len({repr(chosen(voters)) for _ in range(20)}) == 1


def test_confidence_is_that_of_the_beta_rule():
    assert confidence(group_by_result([])) == 0
    assert confidence(group_by_result(candidates("ab"))) == pytest.approx(0.5)
    assert confidence(group_by_result(candidates("aaa"))) == pytest.approx(1 - 0.5**4)
    assert confidence(group_by_result(candidates("aaaab"))) == pytest.approx(1 - 7 / 64)


def test_errors_do_not_change_the_confidence():
    surest = confidence(group_by_result(candidates("aaa")))
    assert confidence(group_by_result(candidates("axaxxa"))) == surest


@pytest.mark.parametrize(
    ("seen", "remaining", "decided"),
    [
        ("aaa", 3, False),  # three more votes for another would tie
        ("aaa", 2, True),
        ("aaab", 1, True),
        ("aaab", 2, False),
        ("xxx", 5, False),
        ("xxx", 0, True),
        ("ab", 0, True),
    ],
)
def test_without_a_threshold_only_an_unbeatable_lead_decides(seen, remaining, decided):
    assert is_decided(group_by_result(candidates(seen)), remaining, 1.0) is decided


def test_with_a_threshold_a_confident_lead_decides():
    assert is_decided(group_by_result(candidates("aaa")), 19, 0.9)
    assert not is_decided(group_by_result(candidates("aa")), 20, 0.9)
    assert not is_decided(group_by_result(candidates("aab")), 19, 0.9)


NO_EMPTY_VOTES = VotingRules(empty_votes=False)


def test_votes_that_do_not_count_decide_nothing():
    empty = [ran("e", rows=0)] * 6
    groups = group_by_result([*empty, ran("a")], NO_EMPTY_VOTES)
    assert not is_decided(groups, 2, 1.0)  # two votes for another result would win
    assert is_decided(groups[:1], 0, 1.0)
    assert not is_decided(group_by_result(empty, NO_EMPTY_VOTES), 2, 0.9)
    assert is_decided(group_by_result(empty), 2, 0.9)


def test_a_weighted_lead_decides_by_its_weight():
    votes = [ran("a", logprob=-2.0)] * 6 + [ran("b", logprob=-0.1)]
    rules = VotingRules(VoteWeight.LOGPROB)
    assert not is_decided(group_by_result(votes, rules), 2, 1.0)  # 0.81 for a, 0.90 for b
    assert is_decided(group_by_result(votes), 2, 1.0)
