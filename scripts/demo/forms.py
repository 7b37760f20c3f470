"""The demonstration questions: ten forms of question, filled from the columns of a domain.

Four of the forms have a habit: a way in which part of the demonstrations answers them wrongly, as
synthetic data does in reality (a column nobody asked for, `*` for the id, the group left out).
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from scripts.demo.domains import Domain, Label, Number, Table

AGGREGATES = {"average": "AVG", "total": "SUM", "smallest": "MIN", "largest": "MAX"}
COMPARISONS = {"above": ">", "below": "<"}
ORDERS = {"highest": "DESC", "lowest": "ASC"}


@dataclass(frozen=True, slots=True)
class Filled:
    """A question with its thought and SQL.

    `combination` names what was put together, without the values: form, tables, columns,
    operators. `habit` is the wrong thought and SQL of the forms that have one.
    """

    combination: tuple[str, ...]
    text: str
    thought: str
    sql: str
    habit: tuple[str, str] | None = None


def fill(form: str, domain: Domain, random: Random) -> Filled:
    """Fill a form with columns and values of a domain."""
    return FORMS[form](domain, random)


def _list(domain: Domain, random: Random) -> Filled:
    table, number, word, value = _comparison(domain, random)
    shown = random.choice([table.title, table.label.name])
    rest = f"FROM {table.name} WHERE {number.name} {COMPARISONS[word]} {value}"
    why = f"{table.name}: {number.name} {COMPARISONS[word]} {value}; show {shown}"
    return Filled(
        ("list", table.name, shown, number.name, word),
        f"List the {shown} of the {table.plural} with {number.name} {word} {value}.",
        why,
        f"SELECT {shown} {rest}",
        (f"{why}, {number.name}", f"SELECT {shown}, {number.name} {rest}"),
    )


def _count(domain: Domain, random: Random) -> Filled:
    table, number, word, value = _comparison(domain, random)
    label, chosen = _label(table, random)
    return Filled(
        ("count", table.name, label, number.name, word),
        f"How many {table.plural} with {label} {chosen} have {number.name} {word} {value}?",
        f"{table.name}: {label} = {chosen}, {number.name} {COMPARISONS[word]} {value}; count",
        f"SELECT COUNT(*) FROM {table.name} WHERE {label} = '{chosen}'"
        f" AND {number.name} {COMPARISONS[word]} {value}",
    )


def _aggregate(domain: Domain, random: Random) -> Filled:
    table, number, word, value = _comparison(domain, random)
    measured = random.choice(table.numbers).name
    how = random.choice(list(AGGREGATES))
    condition = f"{number.name} {COMPARISONS[word]} {value}"
    return Filled(
        ("aggregate", table.name, measured, how, number.name, word),
        f"What is the {how} {measured} of the {table.plural} with {number.name} {word} {value}?",
        f"{table.name}: {condition}; {how} {measured}",
        f"SELECT {AGGREGATES[how]}({measured}) FROM {table.name} WHERE {condition}",
    )


def _extreme(domain: Domain, random: Random) -> Filled:
    table, number, word, value = _comparison(domain, random)
    ordered = random.choice(table.numbers).name
    order = random.choice(list(ORDERS))
    condition = f"{number.name} {COMPARISONS[word]} {value}"
    rest = f"FROM {table.name} WHERE {condition} ORDER BY {ordered} {ORDERS[order]} LIMIT 1"
    why = f"{table.name}: {condition}; {order} {ordered} first; show"
    return Filled(
        ("extreme", table.name, ordered, order, number.name, word),
        f"Of the {table.plural} with {number.name} {word} {value}, give the id of the one with the"
        f" {order} {ordered}.",
        f"{why} id",
        f"SELECT id {rest}",
        (f"{why} all", f"SELECT * {rest}"),
    )


def _groups(domain: Domain, random: Random) -> Filled:
    table, number, word, value = _comparison(domain, random)
    label = table.label.name
    rest = (
        f"COUNT(*) FROM {table.name} WHERE {number.name} {COMPARISONS[word]} {value}"
        f" GROUP BY {label}"
    )
    why = f"{table.name}: {number.name} {COMPARISONS[word]} {value}; count by {label}; show"
    return Filled(
        ("groups", table.name, label, number.name, word),
        f"For each {label}, count the {table.plural} with {number.name} {word} {value}.",
        f"{why} {label}, count",
        f"SELECT {label}, {rest}",
        (f"{why} count", f"SELECT {rest}"),
    )


def _having(domain: Domain, random: Random) -> Filled:
    table, number, word, value = _comparison(domain, random)
    label = table.label.name
    least = random.randint(1, 6)
    rest = (
        f"FROM {table.name} WHERE {number.name} {COMPARISONS[word]} {value}"
        f" GROUP BY {label} HAVING COUNT(*) > {least}"
    )
    why = (
        f"{table.name}: {number.name} {COMPARISONS[word]} {value}; count by {label} > {least};"
        f" show {label}"
    )
    return Filled(
        ("having", table.name, label, number.name, word),
        f"Which {label} has more than {least} {table.plural} with {number.name} {word} {value}?",
        why,
        f"SELECT {label} {rest}",
        (f"{why}, count", f"SELECT {label}, COUNT(*) {rest}"),
    )


def _joined(domain: Domain, random: Random) -> Filled:
    shown = random.choice([domain.child.title, domain.child.label.name])
    label, chosen = _label(domain.parent, random)
    number, word, value = _threshold(domain.child, random)
    return Filled(
        ("joined", shown, label, number.name, word),
        f"List the {shown} of the {domain.child.plural} with {number.name} {word} {value}"
        f" whose {domain.parent.name} has {label} {chosen}.",
        f"join {domain.child.name}, {domain.parent.name}: {label} = {chosen},"
        f" {number.name} {COMPARISONS[word]} {value}; show {shown}",
        f"SELECT {shown} {_join(domain)} WHERE {label} = '{chosen}'"
        f" AND {number.name} {COMPARISONS[word]} {value}",
    )


def _joined_groups(domain: Domain, random: Random) -> Filled:
    label = domain.parent.label.name
    number, word, value = _threshold(domain.child, random)
    measured = random.choice(domain.child.numbers).name
    how = random.choice(list(AGGREGATES))
    condition = f"{number.name} {COMPARISONS[word]} {value}"
    return Filled(
        ("joined groups", label, measured, how, number.name, word),
        f"For each {label} of the {domain.parent.name}, what is the {how} {measured} of the"
        f" {domain.child.plural} with {number.name} {word} {value}?",
        f"join {domain.child.name}, {domain.parent.name}: {condition}; {how} {measured} by {label}",
        f"SELECT {label}, {AGGREGATES[how]}({measured}) {_join(domain)}"
        f" WHERE {condition} GROUP BY {label}",
    )


def _without(domain: Domain, random: Random) -> Filled:
    shown = random.choice([domain.parent.title, domain.parent.label.name, "id"])
    number, word, value = _threshold(domain.child, random)
    return Filled(
        ("without", shown, number.name, word),
        f"List the {shown} of the {domain.parent.plural} without any of the {domain.child.plural}"
        f" with {number.name} {word} {value}.",
        f"{domain.parent.name}: not in {domain.child.name} with {number.name}"
        f" {COMPARISONS[word]} {value}; show {shown}",
        f"SELECT {shown} FROM {domain.parent.name} WHERE id NOT IN (SELECT {domain.key}"
        f" FROM {domain.child.name} WHERE {number.name} {COMPARISONS[word]} {value})",
    )


def _either(domain: Domain, random: Random) -> Filled:
    table, number, word, value = _comparison(domain, random)
    label, chosen = _label(table, random)
    return Filled(
        ("either", table.name, label, number.name, word),
        f"List the {table.title} of the {table.plural} with {label} {chosen}"
        f" or {number.name} {word} {value}.",
        f"{table.name}: {label} = {chosen} or {number.name} {COMPARISONS[word]} {value};"
        f" show {table.title}",
        f"SELECT {table.title} FROM {table.name} WHERE {label} = '{chosen}'"
        f" OR {number.name} {COMPARISONS[word]} {value}",
    )


def _comparison(domain: Domain, random: Random) -> tuple[Table, Number, str, int]:
    table = random.choice(domain.tables())
    return table, *_threshold(table, random)


def _threshold(table: Table, random: Random) -> tuple[Number, str, int]:
    number = random.choice(table.numbers)
    value = random.randrange(number.low + 1, number.high)
    return number, random.choice(list(COMPARISONS)), value


def _label(table: Table, random: Random) -> tuple[str, str]:
    label: Label = table.label
    return label.name, random.choice(label.values)


def _join(domain: Domain) -> str:
    child, parent = domain.child.name, domain.parent.name
    return f"FROM {child} JOIN {parent} ON {domain.key} = {parent}.id"


FORMS: dict[str, Callable[[Domain, Random], Filled]] = {
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
