"""Forms of questions: texts and SQL with places for values."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any


@dataclass(frozen=True, slots=True)
class Form:
    """One shape of SQL. `{place}` stands for a value, in the texts and in the SQL alike."""

    name: str
    tier: str
    texts: Sequence[str]
    """Ways to ask; which one is used depends on the values."""
    sql: str
    places: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The values of each place. A pair is (as it is said, as it is written in SQL)."""

    def items(self) -> Iterator["Item"]:
        """The form with all combinations of its values."""
        names = list(self.places)
        for number, values in enumerate(product(*self.places.values())):
            placed = dict(zip(names, values, strict=True))
            said = {n: v[0] if isinstance(v, tuple) else v for n, v in placed.items()}
            written = {
                n: v[1] if isinstance(v, tuple) else str(v).replace("'", "''")
                for n, v in placed.items()
            }
            text = self.texts[number % len(self.texts)].format(**said)
            yield Item(self.name, self.tier, text, self.sql.format(**written))


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a suite with its gold query, in the dialect of the suite."""

    form: str
    tier: str
    text: str
    sql: str


def in_turn(forms: Sequence[Form], seed: int) -> Iterator[Item]:
    """The items of all forms, one of each form in turn, their values shuffled by the seed."""
    chance = random.Random(seed)
    waiting = []
    for form in forms:
        items = list(form.items())
        chance.shuffle(items)
        waiting.append(items)
    while any(waiting):
        for items in waiting:
            if items:
                yield items.pop()
