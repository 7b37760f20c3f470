"""Rows of a neighbour: drawn from the original, mixed, and moved around the query's constants."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slmsql.suites.neighbours.arranging import (
    add_up,
    in_order,
    latest,
    put_in_order,
    refer,
    swapped,
    with_counts,
    with_lines,
    with_values_of,
)
from slmsql.suites.neighbours.distinct import with_distinct_keys
from slmsql.suites.neighbours.focus import Focus, containing, near_values
from slmsql.suites.neighbours.habits import Value
from slmsql.suites.neighbours.profile import (
    Link,
    Place,
    Profile,
    Row,
    Table,
    parents_first,
)
from slmsql.suites.neighbours.values import as_spelt, expected, in_style, made_up, nested_with

Rows = dict[str, list[Row]]

SIZES = (3, 5, 8, 14, 24)  # rows of a table
MIXING = (0.0, 0.15, 0.4)  # share of values that come from another row
PLANTING = (0.25, 0.5, 0.75)  # share of values that are put at or near a constant
NULLS = 0.15  # share of NULL in a column that may hold it
ATTEMPTS = 8  # to change a row so that its values can stand together
UNLINKED = 0.15  # share of rows without a partner, where the query joins without a foreign key


@dataclass(frozen=True, slots=True)
class Temper:
    """How far a neighbour is from its original: each has its own mixture."""

    size: int
    mixing: float
    planting: float
    hot: float
    """Share of the parents that children refer to: the others have none."""

    @classmethod
    def drawn(cls, rng: random.Random, focus: Focus) -> "Temper":
        larger = (focus.count + 1, 2 * focus.count + 3) if focus.count > 3 else ()
        return cls(
            rng.choice((*SIZES, *larger)),
            rng.choice(MIXING),
            rng.choice(PLANTING),
            rng.choice((0.2, 0.5, 1.0)),
        )


def neighbour_rows(profile: Profile, focus: Focus, rng: random.Random) -> Rows:
    """The rows of one neighbour, by table."""
    rows: Rows = {}
    maker = _Maker(focus, Temper.drawn(rng, focus), rng, rows)
    for table in parents_first(profile.tables):
        rows[table.name] = maker.table_rows(table)
    for table in profile.tables:
        rows[table.name] = with_counts(table, rows)
    return rows


@dataclass(frozen=True)
class _Maker:
    focus: Focus
    temper: Temper
    rng: random.Random
    done: Mapping[str, Sequence[Row]]
    """The rows of the tables that are made already."""

    def table_rows(self, table: Table) -> list[Row]:
        total = [link for link in table.links if link.is_total]
        changed = [self._changed(table, row) for row in self._chosen(table, total)]
        rows = [row for row in changed if row is not None]
        for turn, link in enumerate(total):
            self._give_children(rows, link, table.keys, turn)
            followed = [list(self._follow_parents(table, row)) for row in rows]
            rows = [row for row in followed if table.combinations.allow(row)]
        self._exchange_numbers(table, rows)
        if table.mirror:
            rows += [swapped(row, *table.mirror) for row in rows]
        distinct = with_lines(table, with_distinct_keys(table, rows, self.rng))
        ordered = [self._follow_parents(table, row) for row in in_order(table, distinct)]
        return self._linked_to_itself(table, ordered)

    def _keeps_numbers(self, table: Table) -> bool:
        return self.focus.numbered and bool(table.names)

    def _exchange_numbers(self, table: Table, rows: list[list[Value]]) -> None:
        """Give named rows the numbers of others, so that nothing can rely on numbers of rows."""
        if not table.names or self._keeps_numbers(table) or self.rng.random() < 0.5:
            return
        for key in table.numbers:
            others = self.rng.sample(rows, len(rows))
            pairs = zip(rows, others, strict=True)
            renumbered = [with_values_of(other, row, key) for row, other in pairs]
            if all(map(table.combinations.allow, renumbered)):
                rows[:] = renumbered

    def _linked_to_itself(self, table: Table, rows: list[Row]) -> list[Row]:
        """Refer to other rows of the same table, such as an employee to the manager.

        Unless rows of the original refer to themselves, the first one refers to none, if it can,
        and the others to rows before them: nobody manages those who manage him.
        """
        changed = [list(row) for row in rows]
        for link in (link for link in table.links if link.parent == table.name):
            is_optional = table.nullable.issuperset(link.columns)
            for number, row in enumerate(changed):
                parents = rows if link.is_reflexive else rows[:number] or rows[1:]
                is_first = number == 0 and is_optional and not link.is_reflexive
                parent = None if is_first or not parents else self.rng.choice(parents)
                for index, reference in zip(link.columns, link.references, strict=True):
                    if row[index] is not None:
                        row[index] = parent[reference] if parent else None
        return [tuple(row) for row in changed]

    def _size(self, table: Table, total: Sequence[Link]) -> int:
        """How many rows to draw: at least one for each parent that must have a child."""
        size = max(1, round(self.temper.size * self.rng.choice((0.5, 1, 1, 1.5))))
        if table.is_complete or self._keeps_numbers(table):
            size = min(size, len(table.rows))
        return max([size, *(len(self.done.get(link.parent, ())) for link in total)])

    def _chosen(self, table: Table, total: Sequence[Link]) -> list[list[Value]]:
        """Rows of the original; those with a constant of the query come first."""
        size = self._size(table, total)
        if not table.rows:
            return [[made_up(kind, self.rng) for kind in table.types] for _ in range(size)]
        wanted = self._with_constant(table)
        some = self.rng.sample(wanted, min(len(wanted), (size + 1) // 2))
        others = self.rng.sample(table.rows, min(len(table.rows), size))
        chosen = list(dict.fromkeys([*some, *others]))[:size]
        others = [row for row in table.rows if row not in chosen]
        chosen += self.rng.sample(others, min(len(others), size - len(chosen)))
        while len(chosen) < size:
            chosen.append(self.rng.choice(table.rows))
        self.rng.shuffle(chosen)
        return [list(row) for row in chosen]

    def _with_constant(self, table: Table) -> list[Row]:
        tests = [
            (index, constants)
            for index in range(len(table.columns))
            if (constants := self.focus.constants.get((table.name, index)))
        ]
        return [row for row in table.rows if any(row[index] in values for index, values in tests)]

    def _changed(self, table: Table, row: Sequence[Value]) -> list[Value] | None:
        """The row with changes, or only with links, so that its values can stand together.

        None if no attempt led to such a row.
        """
        for change in [self._varied] * ATTEMPTS + [self._settled] * ATTEMPTS:
            changed = change(table, list(row))
            if table.combinations.allow(changed) and self._has_fitting_parents(table, changed):
                return changed
        return None

    def _varied(self, table: Table, row: list[Value]) -> list[Value]:
        for group in table.groups:
            is_key = len(group) == 1 and group in table.keys
            if not self._keeps_numbers(table) or not (is_key or table.is_named(group)):
                self._mix(table, row, group)
                self._plant(table, row, group)
        self._empty(table, row)
        return self._settled(table, row)

    def _settled(self, table: Table, row: list[Value]) -> list[Value]:
        """The row with links to rows that exist, and with values that fit these."""
        for link in table.links:
            self._link(table, row, link)
        row = list(self._follow_parents(table, row))
        self._obey(table, row)
        return row

    def _mix(self, table: Table, row: list[Value], group: Sequence[int]) -> None:
        """Copy the values of another row now and then; less often if the query ignores them."""
        is_used = any((table.name, index) in self.focus.used for index in group)
        mixing = self.temper.mixing * (1 if is_used else 0.5)
        if table.rows and not table.is_named(group) and self.rng.random() < mixing:
            self._copy(row, group, self.rng.choice(table.rows))

    def _obey(self, table: Table, row: list[Value]) -> None:
        """Change values so that they fit the others in the row, and those that the query joins."""
        for index, other, partners in table.combinations.agreeing:
            if index in table.linked and other < len(row):
                row[other] = partners.get(row[index], row[other])
        for index, target in table.determined:
            self._agree(table, row, index, target)
        for here, there in self.focus.equal:
            self._equal(table, row, here, there)
            self._equal(table, row, there, here)
        for total, parts in table.totals:
            add_up(row, total, parts)
        for low, high in table.ordered:
            put_in_order(row, low, high)

    def _agree(self, table: Table, row: list[Value], index: int, target: int) -> None:
        """Refer to the row that a value determines; if there is none, take a value that agrees."""
        if row[index] is None:
            return
        link = next(link for link in table.links if link.columns == (target,))
        present = {parent[link.references[0]] for parent in self.done.get(link.parent, ())}
        wanted = {other[target] for other in table.rows if other[index] == row[index]} & present
        fitting = [other[index] for other in table.rows if other[target] == row[target]]
        if wanted:
            row[target] = wanted.pop()
        elif fitting:
            row[index] = self.rng.choice(fitting)

    def _copy(self, row: list[Value], group: Sequence[int], donor: Row) -> None:
        for index in group:
            row[index] = donor[index]

    def _plant(self, table: Table, row: list[Value], group: Sequence[int]) -> None:
        """Put a value at or near a constant; columns that belong together take a whole donor."""
        is_named = table.is_named(group)
        for index in group:
            constants = self.focus.constants.get((table.name, index), ())
            if not constants or self.rng.random() >= self.temper.planting:
                continue
            constant = as_spelt(self.rng.choice(constants), table, index)
            is_alone = len(group) == 1 and not is_named
            donors = [] if is_alone else [other for other in table.rows if other[index] == constant]
            if not donors:
                row[index] = self._at_or_near(constant, row[index], table, index)
            elif not is_named:
                self._copy(row, group, self.rng.choice(donors))

    def _at_or_near(self, constant: Value, present: Value, table: Table, index: int) -> Value:
        """The constant, about as often as all values near it; the present value if none fits."""
        nearby = near_values(constant)
        if isinstance(constant, str) and index in table.nested:
            present_texts = nested_with(constant, table, index)
            is_pattern = constant in self.focus.patterns
            nearby += present_texts or (containing(constant) if is_pattern else [])
        if isinstance(constant, str) and index in table.cased:
            nearby.append(constant.swapcase())
        near = expected(in_style(nearby, present, table, index), table, index)
        exact = in_style([constant], present, table, index)
        return self.rng.choice([*exact * max(1, len(near)), *near] or [present])

    def _empty(self, table: Table, row: list[Value]) -> None:
        for index in table.nullable:
            if (table.name, index) in self.focus.used and self.rng.random() < NULLS:
                row[index] = None

    def _link(self, table: Table, row: list[Value], link: Link) -> None:
        """Refer to a row that exists; some rows have many children and others none.

        A match has two teams, so at least two teams have matches.
        """
        parents = self._fitting(link)
        if any(row[index] is None for index in link.columns) and self.rng.random() < 0.5:
            return
        if not parents:
            return
        fewest = sum(other.parent == link.parent for other in table.links)
        hot = parents[: max(fewest, round(self.temper.hot * len(parents)))]
        refer(row, link, self.rng.choice(parents if link.columns in table.keys else hot))

    def _has_fitting_parents(self, table: Table, row: Sequence[Value]) -> bool:
        for link in (link for link in table.links if link.only):
            keys = {parent[link.references[0]] for parent in self._fitting(link)}
            if row[link.columns[0]] not in {None, *keys}:
                return False
        return True

    def _fitting(self, link: Link) -> list[Row]:
        """The parents of a kind that has children in the original."""
        parents = self.done.get(link.parent, ())
        return [row for row in parents if all(row[at] in values for at, values in link.only)]

    def _follow_parents(self, table: Table, row: Sequence[Value]) -> Row:
        """The row with the values that it shares with its parents, references first.

        Dates that must not be before the parent's are moved to it.
        """
        changed = list(row)
        copying = [link for link in table.links if link.copies or link.later]
        for link in sorted(
            copying, key=lambda link: table.linked.isdisjoint(here for here, _ in link.copies)
        ):
            value, reference = changed[link.columns[0]], link.references[0]
            for parent in self.done.get(link.parent, ()):
                if parent[reference] == value:
                    for here, there in link.copies:
                        changed[here] = parent[there]
                    for here, there in link.later:
                        changed[here] = latest(changed[here], parent[there])
                    break
        return tuple(changed)

    def _give_children(
        self, rows: list[list[Value]], link: Link, keys: Sequence[tuple[int, ...]], turn: int
    ) -> None:
        """Let the first rows refer to one parent each; if a parent has one child, drop the rest.

        Another turn gives the first row another parent: the two teams of a match differ.
        """
        parents = self.done.get(link.parent, ())
        for row, parent in zip(rows, [*parents[turn:], *parents[:turn]], strict=False):
            refer(row, link, parent)
        if link.columns in keys:
            del rows[len(parents) :]

    def _equal(self, table: Table, row: list[Value], here: Place, there: Place) -> None:
        """Give a joined column a value of its partner, unless a declared key already does."""
        partners = self.done.get(there[0], ())
        if here[0] != table.name or here[1] in table.linked or not partners:
            return
        is_key = any(here[1] in key for key in table.keys)
        if self.rng.random() < (0.5 if is_key else 1 - UNLINKED):
            row[here[1]] = self.rng.choice(partners)[there[1]]
