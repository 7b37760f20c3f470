"""Weights of sources, and the upper bounds of a vote."""

from pathlib import Path

import pytest

from slmsql.consistency.candidates import Candidate, CandidateSet
from slmsql.consistency.source_weights import source_weights
from slmsql.consistency.upper_bounds import measure
from slmsql.consistency.voting import VoteWeight, VotingRules, vote
from slmsql.execution import Executor, Status


def question(**results):
    """A question with one candidate a source; None does not run."""
    candidates = tuple(
        Candidate(result, status=Status.OK if result else Status.ERROR, digest=result, source=name)
        for name, result in results.items()
    )
    return CandidateSet("q", "db", Path("db"), candidates)


def test_a_source_that_agrees_with_the_others_counts_more():
    sets = [question(a="x", b="x", c="y")] * 8 + [question(a="x", b="x", c=None)] * 2
    weights = source_weights(sets)
    assert weights["a"] == weights["b"] > 0
    assert weights["c"] == 0


def test_two_trusted_sources_win_over_three_others():
    sets = [question(a="x", b="x", c="1", d="2", e="3")] * 20
    doubtful = question(c="y", d="y", e="y", a="x", b="x")
    rules = VotingRules(VoteWeight.SOURCE, sources=source_weights(sets))
    assert vote(doubtful).sql == "y"
    assert vote(doubtful, rules).sql == "x"


def test_upper_bounds_are_measured_where_gold_runs(singers):
    def candidate_set(identity, *numbers):
        candidates = tuple(
            Candidate(f"SELECT {n}", status=Status.OK, digest=str(n), row_count=1) for n in numbers
        )
        return CandidateSet(identity, "singers", singers, candidates)

    sets = [
        candidate_set("vote", 3, 3, 1, 2),
        candidate_set("top2", 1, 1, 3, 2),
        candidate_set("any", 1, 1, 2, 3),
        candidate_set("none", 1, 1, 1, 1),
        candidate_set("no gold", 3),
        candidate_set("broken gold", 3, 3, 3, 3),
    ]
    gold = dict.fromkeys(("vote", "top2", "any", "none"), "SELECT count(*) FROM singer")
    with Executor(workers=1) as executor:
        room = measure(sets, gold | {"broken gold": "SELEC"}, executor)
    assert (room.n, room.left_out) == (4, 2)
    assert (room.vote, room.top2_at_k, room.pass_at_k) == (25, 50, 75)
    assert room.mean == pytest.approx(100 * (2 / 4 + 1 / 4 + 1 / 4) / 4)
    assert "single 25.0, vote 25.0, top-2 50.0, pass@k 75.0; left out 2" in room.line()


def adaptive(singers, first_round):
    """Two questions whose votes stopped the sampling after 2 and 4 candidates."""
    right, wrong = (
        Candidate(f"SELECT {n}", status=Status.OK, digest=str(n), row_count=1) for n in (3, 1)
    )
    return [
        CandidateSet("easy", "singers", singers, (right, right), first_round),
        CandidateSet("hard", "singers", singers, (wrong, wrong, right, wrong), first_round),
    ]


def test_pass_at_k_of_adaptive_samples_comes_from_the_first_round(singers):
    gold = dict.fromkeys(("easy", "hard"), "SELECT count(*) FROM singer")
    with Executor(workers=1) as executor:
        bounds = measure(adaptive(singers, 2), gold, executor)
        unknown = measure(adaptive(singers, None), gold, executor)
    assert (bounds.k, bounds.mean, bounds.pass_at_k, bounds.any) == (2, 50, 50, 100)
    assert "from the first 2 candidates alone: single 50.0, pass@2 50.0" in bounds.line()
    assert (unknown.k, unknown.mean, unknown.pass_at_k, unknown.any) == (None, None, None, 100)
    assert "single and pass@k are left out" in unknown.line()
