"""Judging pairs of queries on one database in a single call."""

from collections.abc import Iterable
from pathlib import Path

from slmsql.execution.executor import Executor
from slmsql.execution.types import Pair, Verdict
from slmsql.match import Match


def judge(
    database: Path | str, pairs: Iterable[tuple[str, str]], *, match: Match | str = Match.BIRD
) -> list[Verdict]:
    """Decide whether predictions have the results of their gold queries.

    >>> right, wrong = judge("chinook.sqlite", [
    ...     ("SELECT count(*) FROM Artist", "SELECT count(ArtistId) FROM Artist"),
    ...     ("SELECT count(*) FROM Album", "SELECT count(*) FROM Artist"),
    ... ])
    >>> right.correct, wrong.correct
    (True, False)

    To judge again and again, keep an `Executor`, whose processes stay ready.

    Args:
        database: an SQLite or DuckDB file, a folder of tables, or the URL of a database.
        pairs: predictions, each with its gold query.
        match: when two results agree: "bird", "spider" or "strict".

    Returns:
        The verdicts, in the order of the pairs. One that cannot be judged has `correct` None.

    Raises:
        FileNotFoundError, InputError: the database is missing or is none.
        ValueError: there is no such match mode.
    """
    place = Path(database)
    with Executor() as executor:
        return executor.judge(
            [Pair(place, predicted, gold) for predicted, gold in pairs], match=Match(match)
        )
