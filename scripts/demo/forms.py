"""Ten forms of question, filled with the columns and values of a domain.

    fill("count", DOMAINS[0], Random(1))

gives, for example, "How many books with genre crime have price below 40?" with the SQL that
answers it. Four of the forms have a habit: a wrong way in which part of the demonstrations answers
them, as synthetic data does in reality (a column nobody asked for, `*` instead of the id, the group
left out).
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from scripts.demo.domains import Domain, Table

AGGREGATES = {"average": "AVG", "total": "SUM", "smallest": "MIN", "largest": "MAX"}
COMPARISONS = {"above": ">", "below": "<"}
ORDERS = {"highest": "DESC", "lowest": "ASC"}


@dataclass(frozen=True, slots=True)
class Solution:
    """What a model is to write: a line of thought, then SQL."""

    thought: str
    sql: str


@dataclass(frozen=True, slots=True)
class Exercise:
    """A question with its solution.

    Args:
        combination: what the question is made of, without the values: form, tables, columns and
            operators.
        text: the question.
        solution: the right one.
        habit: the wrong one, in the forms that have a habit.
    """

    combination: tuple[str, ...]
    text: str
    solution: Solution
    habit: Solution | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a column with a number: "price below 40"."""

    column: str
    word: str
    value: int

    @property
    def text(self) -> str:
        return f"{self.column} {self.word} {self.value}"

    @property
    def sql(self) -> str:
        return f"{self.column} {COMPARISONS[self.word]} {self.value}"


def fill(form: str, domain: Domain, random: Random) -> Exercise:
    """Fill a form with random columns and values of a domain."""
    return FORMS[form](domain, random)


def _list(domain: Domain, random: Random) -> Exercise:
    table, comparison = _table_and_comparison(domain, random)
    shown = random.choice([table.title, table.label.name])
    thought = f"{table.name}: {comparison.sql}; show {shown}"
    rest = f"FROM {table.name} WHERE {comparison.sql}"
    return Exercise(
        ("list", table.name, shown, comparison.column, comparison.word),
        f"List the {shown} of the {table.plural} with {comparison.text}.",
        Solution(thought, f"SELECT {shown} {rest}"),
        habit=Solution(
            f"{thought}, {comparison.column}", f"SELECT {shown}, {comparison.column} {rest}"
        ),
    )


def _count(domain: Domain, random: Random) -> Exercise:
    table, comparison = _table_and_comparison(domain, random)
    label, value = _label_and_value(table, random)
    return Exercise(
        ("count", table.name, label, comparison.column, comparison.word),
        f"How many {table.plural} with {label} {value} have {comparison.text}?",
        Solution(
            f"{table.name}: {label} = {value}, {comparison.sql}; count",
            f"SELECT COUNT(*) FROM {table.name} WHERE {label} = '{value}' AND {comparison.sql}",
        ),
    )


def _aggregate(domain: Domain, random: Random) -> Exercise:
    table, comparison = _table_and_comparison(domain, random)
    measured = random.choice(table.numbers).name
    aggregate = random.choice(list(AGGREGATES))
    return Exercise(
        ("aggregate", table.name, measured, aggregate, comparison.column, comparison.word),
        f"What is the {aggregate} {measured} of the {table.plural} with {comparison.text}?",
        Solution(
            f"{table.name}: {comparison.sql}; {aggregate} {measured}",
            f"SELECT {AGGREGATES[aggregate]}({measured}) FROM {table.name} WHERE {comparison.sql}",
        ),
    )


def _extreme(domain: Domain, random: Random) -> Exercise:
    table, comparison = _table_and_comparison(domain, random)
    column = random.choice(table.numbers).name
    order = random.choice(list(ORDERS))
    thought = f"{table.name}: {comparison.sql}; {order} {column} first; show"
    rest = f"FROM {table.name} WHERE {comparison.sql} ORDER BY {column} {ORDERS[order]} LIMIT 1"
    return Exercise(
        ("extreme", table.name, column, order, comparison.column, comparison.word),
        f"Of the {table.plural} with {comparison.text}, give the id of the one with the {order}"
        f" {column}.",
        Solution(f"{thought} id", f"SELECT id {rest}"),
        habit=Solution(f"{thought} all", f"SELECT * {rest}"),
    )


def _groups(domain: Domain, random: Random) -> Exercise:
    table, comparison = _table_and_comparison(domain, random)
    label = table.label.name
    thought = f"{table.name}: {comparison.sql}; count by {label}; show"
    rest = f"COUNT(*) FROM {table.name} WHERE {comparison.sql} GROUP BY {label}"
    return Exercise(
        ("groups", table.name, label, comparison.column, comparison.word),
        f"For each {label}, count the {table.plural} with {comparison.text}.",
        Solution(f"{thought} {label}, count", f"SELECT {label}, {rest}"),
        habit=Solution(f"{thought} count", f"SELECT {rest}"),
    )


def _having(domain: Domain, random: Random) -> Exercise:
    table, comparison = _table_and_comparison(domain, random)
    label = table.label.name
    count = random.randint(1, 6)
    thought = f"{table.name}: {comparison.sql}; count by {label} > {count}; show {label}"
    rest = f"FROM {table.name} WHERE {comparison.sql} GROUP BY {label} HAVING COUNT(*) > {count}"
    return Exercise(
        ("having", table.name, label, comparison.column, comparison.word),
        f"Which {label} has more than {count} {table.plural} with {comparison.text}?",
        Solution(thought, f"SELECT {label} {rest}"),
        habit=Solution(f"{thought}, count", f"SELECT {label}, COUNT(*) {rest}"),
    )


def _joined(domain: Domain, random: Random) -> Exercise:
    child, parent = domain.child, domain.parent
    shown = random.choice([child.title, child.label.name])
    label, value = _label_and_value(parent, random)
    comparison = _comparison(child, random)
    return Exercise(
        ("joined", shown, label, comparison.column, comparison.word),
        f"List the {shown} of the {child.plural} with {comparison.text} whose {parent.name} has"
        f" {label} {value}.",
        Solution(
            f"join {child.name}, {parent.name}: {label} = {value}, {comparison.sql}; show {shown}",
            f"SELECT {shown} {_join(domain)} WHERE {label} = '{value}' AND {comparison.sql}",
        ),
    )


def _joined_groups(domain: Domain, random: Random) -> Exercise:
    child, parent = domain.child, domain.parent
    label = parent.label.name
    comparison = _comparison(child, random)
    measured = random.choice(child.numbers).name
    aggregate = random.choice(list(AGGREGATES))
    return Exercise(
        ("joined groups", label, measured, aggregate, comparison.column, comparison.word),
        f"For each {label} of the {parent.name}, what is the {aggregate} {measured} of the"
        f" {child.plural} with {comparison.text}?",
        Solution(
            f"join {child.name}, {parent.name}: {comparison.sql};"
            f" {aggregate} {measured} by {label}",
            f"SELECT {label}, {AGGREGATES[aggregate]}({measured}) {_join(domain)}"
            f" WHERE {comparison.sql} GROUP BY {label}",
        ),
    )


def _without(domain: Domain, random: Random) -> Exercise:
    child, parent = domain.child, domain.parent
    shown = random.choice([parent.title, parent.label.name, "id"])
    comparison = _comparison(child, random)
    return Exercise(
        ("without", shown, comparison.column, comparison.word),
        f"List the {shown} of the {parent.plural} without any of the {child.plural} with"
        f" {comparison.text}.",
        Solution(
            f"{parent.name}: not in {child.name} with {comparison.sql}; show {shown}",
            f"SELECT {shown} FROM {parent.name} WHERE id NOT IN (SELECT {domain.key}"
            f" FROM {child.name} WHERE {comparison.sql})",
        ),
    )


def _either(domain: Domain, random: Random) -> Exercise:
    table, comparison = _table_and_comparison(domain, random)
    label, value = _label_and_value(table, random)
    return Exercise(
        ("either", table.name, label, comparison.column, comparison.word),
        f"List the {table.title} of the {table.plural} with {label} {value} or {comparison.text}.",
        Solution(
            f"{table.name}: {label} = {value} or {comparison.sql}; show {table.title}",
            f"SELECT {table.title} FROM {table.name} WHERE {label} = '{value}' OR {comparison.sql}",
        ),
    )


def _table_and_comparison(domain: Domain, random: Random) -> tuple[Table, Comparison]:
    table = random.choice(domain.tables())
    return table, _comparison(table, random)


def _comparison(table: Table, random: Random) -> Comparison:
    number = random.choice(table.numbers)
    value = random.randrange(number.low + 1, number.high)
    return Comparison(number.name, random.choice(list(COMPARISONS)), value)


def _label_and_value(table: Table, random: Random) -> tuple[str, str]:
    return table.label.name, random.choice(table.label.values)


def _join(domain: Domain) -> str:
    child, parent = domain.child.name, domain.parent.name
    return f"FROM {child} JOIN {parent} ON {domain.key} = {parent}.id"


FORMS: dict[str, Callable[[Domain, Random], Exercise]] = {
    "list": _list,
    "count": _count,
    "aggregate": _aggregate,
    "extreme": _extreme,
    "groups": _groups,
    "having": _having,
    "joined": _joined,
    "joined groups": _joined_groups,
    "without": _without,
    "either": _either,
}
