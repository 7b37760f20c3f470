"""Forms: the shape of a question and of its SQL, with places for values.

    Form("cities", "simple", ["How many customers live in {city}?"],
         "SELECT count(*) FROM customers WHERE city = '{city}'", {"city": ["Paris", "Rome"]})

stands for two questions, one about each city.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any


@dataclass(frozen=True, slots=True)
class Form:
    """One shape of SQL.

    Args:
        name: names the shape in the suite's files.
        tier: simple, moderate or complex; the `difficulty` of its questions.
        texts: ways to ask, used in turn.
        sql: in the dialect of the suite.
        places: the values of each `{place}` in the texts and in the SQL. A pair holds the words
            for the texts and the SQL for the query.
    """

    name: str
    tier: str
    texts: Sequence[str]
    sql: str
    places: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def questions(self) -> Iterator["FormQuestion"]:
        """The form with every combination of its values."""
        for number, values in enumerate(product(*self.places.values())):
            words, literals = {}, {}
            for place, value in zip(self.places, values, strict=True):
                is_pair = isinstance(value, tuple)
                words[place] = value[0] if is_pair else value
                literals[place] = value[1] if is_pair else str(value).replace("'", "''")
            text = self.texts[number % len(self.texts)].format(**words)
            yield FormQuestion(self.name, self.tier, text, self.sql.format(**literals))


@dataclass(frozen=True, slots=True)
class FormQuestion:
    """A form with values in its places; the SQL is in the dialect of the suite."""

    form: str
    tier: str
    text: str
    sql: str


def interleaved(forms: Sequence[Form], seed: int) -> Iterator[FormQuestion]:
    """The questions of all forms, one of each form in turn, in an order decided by the seed."""
    rng = random.Random(seed)
    stacks = []
    for form in forms:
        stack = list(form.questions())
        rng.shuffle(stack)
        stacks.append(stack)
    while any(stacks):
        for stack in stacks:
            if stack:
                yield stack.pop()
