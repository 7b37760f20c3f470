"""A vote over SQL texts, in a single call."""

from collections.abc import Iterable
from pathlib import Path

from slmsql.consistency import voting
from slmsql.consistency.candidates import Candidate, CandidateSet, run_candidates
from slmsql.consistency.prediction import Prediction
from slmsql.errors import InputError
from slmsql.execution import Executor
from slmsql.execution.engines.address import name_of
from slmsql.match import Match


def vote(
    database: Path | str, candidates: Iterable[str], *, match: Match | str = Match.BIRD
) -> Prediction:
    """Run candidates for one question and choose the one whose result most of them have.

    >>> prediction = vote("chinook.sqlite", [
    ...     "SELECT count(*) FROM Track WHERE UnitPrice > 1",
    ...     "SELECT count(*) FROM Track",
    ...     "SELECT count(TrackId) FROM Track",
    ...     "SELECT count(*) FROM Tracks",
    ... ])
    >>> prediction.sql, prediction.votes, prediction.candidates
    ('SELECT count(*) FROM Track', 2, 4)

    A candidate that does not run has no vote; `slmsql.consistency.voting` has the rules.

    Args:
        database: an SQLite or DuckDB file, a folder of tables, or the URL of a database.
        candidates: SQL from any systems.
        match: when two results agree: "bird", "spider" or "strict".

    Raises:
        InputError: there is no candidate.
        FileNotFoundError, InputError: the database is missing or is none.
        ValueError: there is no such match mode.
    """
    texts = tuple(Candidate(sql) for sql in candidates)
    if not texts:
        raise InputError("there is no candidate to vote on")
    place = Path(database)
    candidate_set = CandidateSet("", name_of(place), place, texts)
    with Executor() as executor:
        (ran,) = run_candidates([candidate_set], executor, Match(match))
    return voting.vote(ran)
