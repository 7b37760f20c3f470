"""Signs that a gold query is wrong, although it runs.

`SELECT name FROM city ORDER BY area LIMIT 1` is suspicious if areas are stored as text ('9' comes
after '10'), if the area of some cities is NULL (NULL comes first), or if two cities have the
smallest area. Each sign was seen in gold queries that BIRD rewrote between two releases.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlglot import exp

from slmsql.execution import Execution, Executor, Statement
from slmsql.questions.question import Question
from slmsql.sql.parsing import guarded, parsed, table_names
from slmsql.sql.quoting import quote_identifier, quote_value
from slmsql.sql.ties import all_tie_queries

VALUES = 300  # of a column, by which it counts as numbers stored as text
FEWEST = 3  # of its values
INEQUALITIES = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)


class Sign(StrEnum):
    """Why a gold query may be wrong."""

    TEXT_ORDER = "compares numbers stored as text"
    NULL_FIRST = "NULL sorts first"
    CUT_TIES = "LIMIT cuts ties"
    ONE_ROW = "sorts a single row"
    WHOLE_DIVISION = "divides whole numbers"
    UNKNOWN_VALUE = "value not in the column"


@dataclass(frozen=True, slots=True)
class _Probe:
    """A query whose result shows whether a sign is there."""

    sign: Sign
    sql: str
    shows: Callable[[Execution], bool]


def find_signs(questions: Sequence[Question], executor: Executor) -> list[list[Sign]]:
    """The signs of each question's gold query; none if it cannot be parsed.

    Args:
        questions: with usable databases and gold queries.
        executor: runs the probes.
    """
    probes = [(index, probe) for index, q in enumerate(questions) for probe in _probes(q)]
    statements = [Statement(questions[index].database, probe.sql) for index, probe in probes]
    executions = executor.run(statements, preview=VALUES)
    found = [set(signs_of_text(question.gold_sql or "")) for question in questions]
    for (index, probe), execution in zip(probes, executions, strict=True):
        if execution.ok and probe.shows(execution):
            found[index].add(probe.sign)
    return [sorted(signs) for signs in found]


def signs_of_text(gold: str) -> list[Sign]:
    """The signs that need no database."""
    tree = parsed(gold)
    return [] if tree is None else guarded(gold, _signs_of_tree, tree) or []


def _signs_of_tree(tree: exp.Expr) -> list[Sign]:
    signs = []
    if any(_sorts_one_row(select) for select in tree.find_all(exp.Select)):
        signs.append(Sign.ONE_ROW)
    if any(_is_whole(node.left) and _is_whole(node.right) for node in tree.find_all(exp.Div)):
        signs.append(Sign.WHOLE_DIVISION)
    return signs


def _sorts_one_row(select: exp.Select) -> bool:
    """Whether it aggregates all rows to one, and then sorts or cuts it."""
    is_sorted = select.args.get("order") or select.args.get("limit")
    if not is_sorted or select.args.get("group"):
        return False
    return any(isinstance(column.unalias(), exp.AggFunc) for column in select.expressions)


def _is_whole(side: exp.Expr) -> bool:
    """Whether a side of a division is a number of rows."""
    if side.find(exp.Cast) or any("." in str(number.this) for number in side.find_all(exp.Literal)):
        return False
    counts = side.find(exp.Count) is not None
    cases = any(total.find(exp.Case, exp.If) for total in side.find_all(exp.Sum))
    return counts or cases


def _probes(question: Question) -> list[_Probe]:
    gold = question.gold_sql or ""
    tree = parsed(gold)
    found = [] if tree is None else guarded(gold, _probes_of_columns, tree) or []
    for sql, limit in all_tie_queries(gold):
        found += _probes_of_limit(sql, limit)
    return found


def _probes_of_limit(sql: str, limit: int) -> Iterator[_Probe]:
    def null_first(execution: Execution) -> bool:
        return any(row[0] is None for row in execution.rows[:limit])

    def cut(execution: Execution) -> bool:
        rows = execution.rows
        return 0 < limit < len(rows) and rows[limit - 1] == rows[limit]

    yield _Probe(Sign.NULL_FIRST, sql, null_first)
    yield _Probe(Sign.CUT_TIES, sql, cut)


def _probes_of_columns(tree: exp.Expr) -> list[_Probe]:
    names = table_names(tree)
    probes = []
    for column in _compared(tree):
        for source in _sources(column, names):
            field = f"{source}.{quote_identifier(column.name)}"
            sql = f"SELECT DISTINCT {field} FROM {source} WHERE {field} IS NOT NULL LIMIT {VALUES}"
            probes.append(_Probe(Sign.TEXT_ORDER, sql, _are_numbers_as_text))
    for column, value in _wanted(tree):
        for source in _sources(column, names):
            field, literal = quote_identifier(column.name), quote_value(value)
            # The table's name stands before: alone, a quoted name that is no column would be text.
            sql = f"SELECT 1 FROM {source} WHERE {source}.{field} = {literal} LIMIT 1"
            probes.append(_Probe(Sign.UNKNOWN_VALUE, sql, lambda found: not found.rows))
    return probes


def _compared(tree: exp.Expr) -> Iterator[exp.Column]:
    """The columns whose order matters: sorted by, largest or smallest of, above or below."""
    for node in tree.find_all(exp.Ordered, exp.Max, exp.Min, *INEQUALITIES):
        if isinstance(node.this, exp.Column):
            yield node.this


def _wanted(tree: exp.Expr) -> Iterator[tuple[exp.Column, str]]:
    """Columns with the texts that they are asked to equal."""
    for node in tree.find_all(exp.EQ, exp.In):
        values = node.expressions if isinstance(node, exp.In) else [node.expression]
        if isinstance(node.this, exp.Column):
            yield from ((node.this, str(v.this)) for v in values if v.is_string)


def _sources(column: exp.Column, names: dict[str, str]) -> list[str]:
    """The table of the column; none if the query does not say and has several tables."""
    if column.table:
        table = names.get(column.table.lower())
        return [quote_identifier(table)] if table else []
    tables = set(names.values())
    return [quote_identifier(tables.pop())] if len(tables) == 1 else []


def _are_numbers_as_text(execution: Execution) -> bool:
    """Whether all values are texts that are numbers, and sort otherwise than the numbers."""
    texts = [row[0] for row in execution.rows]
    if len(texts) < FEWEST or not all(isinstance(text, str) for text in texts):
        return False
    try:
        numbers = [float(str(text)) for text in texts]
    except ValueError:
        return False
    by_text = [number for _, number in sorted(zip(map(str, texts), numbers, strict=True))]
    return by_text != sorted(numbers)
