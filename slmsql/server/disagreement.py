"""What candidates disagreed about, in plain words: "keeps other rows; 5 rows instead of 10"."""

from collections.abc import Sequence

from slmsql.consistency.voting import ResultGroup
from slmsql.evaluation import ErrorClass
from slmsql.evaluation.diagnosis import differences

MOST = 2  # differences that are named; the first ones explain the others
WORDS = {
    ErrorClass.TABLE: "reads other tables",
    ErrorClass.JOIN: "joins the tables in another way",
    ErrorClass.COLUMN_COUNT: "has another number of columns",
    ErrorClass.AGGREGATION: "counts, sums or averages in another way",
    ErrorClass.FILTER: "keeps other rows",
    ErrorClass.GROUPING: "groups by something else",
    ErrorClass.ORDER: "sorts or cuts the rows in another way",
    ErrorClass.DISTINCT: "treats repeated rows in another way",
    ErrorClass.COLUMN: "shows other columns",
    ErrorClass.SET_OPERATION: "combines queries in another way",
    ErrorClass.COLUMN_ORDER: "has its columns in another order",
}


def agreement(groups: Sequence[ResultGroup], candidates: int) -> str:
    """How far the candidates agree, in a sentence.

    Args:
        groups: of the candidates that ran, the largest first.
        candidates: number of all candidates.
    """
    ran = sum(group.votes for group in groups)
    failed = f" {candidates - ran} did not run." if ran < candidates else ""
    if not groups:
        return "No candidate ran."
    if ran == 1:
        return f"One candidate ran, so there was nothing to compare.{failed}"
    if len(groups) == 1:
        return f"Nothing: the {ran} candidates that ran have the same result.{failed}"
    return f"The {ran} candidates that ran have {len(groups)} different results.{failed}"


def difference(group: ResultGroup, chosen_sql: str, chosen_rows: int) -> str:
    """How a group differs from the answer that was chosen; empty for the group of that answer.

    Args:
        chosen_sql: the answer.
        chosen_rows: number of rows of its result.
    """
    if any(member.sql == chosen_sql for member in group.members):
        return ""
    parts = [WORDS[part] for part in differences(group.sql, chosen_sql) if part in WORDS][:MOST]
    rows = group.members[0].row_count
    if rows != chosen_rows:
        parts.append(f"{rows} {'row' if rows == 1 else 'rows'} instead of {chosen_rows}")
    return "; ".join(parts) or "has other values"
