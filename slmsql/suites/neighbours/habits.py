"""Rules that values keep without declaring them, where chance would hardly keep them.

are_row_numbers([1, 2, 3, 4, 5])        # True: in the order of the rows
determines(countries, continents)       # True: a country is always beside the same continent
is_closed([0, 1, 1, 0, ...])            # True: other values are not to be expected
"""

import math
import operator
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations
from typing import cast

CHANCE = 0.001  # that a rule which always held did so by accident
LIKELY = 0.2  # the same, of rules that cost little where they are none
FEWEST = 5  # values that can show a rule
FEWEST_COUNTS = 3  # different numbers in a column that counts rows
DATE = re.compile(r"\d{4}-\d\d-\d\d(?!\d)")
FEWEST_CLOSED = 10  # values, each of them repeated, that show that a column has no others
FEWEST_FLAGS = 5  # values that show the same of a column with two values, such as yes and no

Value = str | int | float | bytes | None


def never_repeats(values: Sequence[Value]) -> bool:
    """Whether a column holds names: texts, each of them once, most of them words."""
    texts = [value for value in values if isinstance(value, str)]
    words = [text for text in texts if any(map(str.isalpha, text))]  # '-' may stand for no name
    is_once = 2 <= len(texts) == len(values) == len({text.lower() for text in texts})
    return is_once and len(words) > len(texts) / 2


def are_row_numbers(values: Sequence[Value]) -> bool:
    """Whether whole numbers never repeat, where by chance some would; rising ones need fewer."""
    numbers = [value for value in values if isinstance(value, int)]
    count = len(numbers)
    if count < FEWEST or count < len(values) or len(set(numbers)) < count:
        return False
    span = max(numbers) - min(numbers) + 1
    chance = sum(math.log1p(-number / span) for number in range(count))
    if numbers == sorted(numbers):
        chance -= math.lgamma(count + 1)
    return chance < math.log(CHANCE)


def is_closed(values: Sequence[Value]) -> bool:
    """Whether each value of many occurs again, so that the next one is hardly new (Good, 1953)."""
    counts = Counter(value for value in values if value is not None)
    fewest = FEWEST_FLAGS if len(counts) <= 2 else FEWEST_CLOSED
    return counts.total() >= fewest and 1 not in counts.values()


def is_rising(numbers: Sequence[Value], dates: Sequence[Value]) -> bool:
    """Whether dates rise with the numbers of rows, as when members join one after the other."""
    pairs = [pair for pair in zip(numbers, dates, strict=True) if isinstance(pair[0], int)]
    if len(pairs) < len(numbers) or not all(is_date(date) for _, date in pairs):
        return False
    in_order = [cast(str, date) for _, date in sorted(pairs)]
    return len(set(in_order)) >= FEWEST and in_order == sorted(in_order)


def never_exceeds(first: Sequence[Value], second: Sequence[Value]) -> bool:
    """Whether numbers or dates are never above those beside them, as a low and a high price.

    It counts only if the two ranges overlap, as those of ages and weights hardly do.
    """
    pairs = [pair for pair in zip(first, second, strict=True) if None not in pair]
    if len(pairs) < FEWEST or not (_are_numbers(pairs) or _are_dates(pairs)):
        return False
    lows, highs = ([cast(float, pair[index]) for pair in pairs] for index in range(2))
    return max(lows) > min(highs) and all(map(operator.le, lows, highs))


def _are_numbers(pairs: Sequence[tuple[Value, Value]]) -> bool:
    return all(isinstance(value, int | float) for pair in pairs for value in pair)


def _are_dates(pairs: Sequence[tuple[Value, Value]]) -> bool:
    return all(is_date(value) for pair in pairs for value in pair)


def is_date(value: Value) -> bool:
    """Whether a text starts with a day, as in 2006-12-31 or 2006-12-31 23:59."""
    return isinstance(value, str) and bool(DATE.match(value))


def are_dates(values: Sequence[Value]) -> bool:
    """Whether all texts start with a day and are of one length; NULL may stand among them."""
    dates = [value for value in values if value is not None]
    lengths = {len(value) for value in dates if isinstance(value, str)}
    return len(lengths) == 1 and all(map(is_date, dates))


def are_counts(numbers: Sequence[tuple[Value, Value]], values: Sequence[Value]) -> bool:
    """Whether a number says how often a key occurs, as `citations` of a paper among those cited.

    Args:
        numbers: the key of each row, and its number.
        values: of the column in which the keys occur.
    """
    different = {number for _, number in numbers}
    if len(numbers) < FEWEST or len(different) < FEWEST_COUNTS:
        return False
    counts = Counter(values)
    is_same = all(counts[key] == number for key, number in numbers)
    return is_same and counts.keys() <= {None, *(key for key, _ in numbers)}


def is_nested(values: Sequence[Value]) -> bool:
    """Whether one text contains another, as Female does Male."""
    texts = sorted({text.lower() for text in values if isinstance(text, str) and text}, key=len)
    return any(short in long for index, short in enumerate(texts) for long in texts[index + 1 :])


def is_cased(values: Sequence[Value]) -> bool:
    """Whether many texts differ in case alone: one of ten, at least."""
    texts = {value for value in values if isinstance(value, str)}
    return bool(texts) and len({text.lower() for text in texts}) <= 0.9 * len(texts)


def determines(first: Sequence[Value], second: Sequence[Value]) -> bool:
    """Whether equal values in one column always stand beside equal values in the other.

    It counts only if values repeat often, and if so many repeats would hardly agree by chance.
    """
    return agreeing_repeats(first, second) > len({value for value in first if value is not None})


def agreeing_repeats(
    first: Sequence[Value], second: Sequence[Value], chance: float = CHANCE
) -> int:
    """How often a value of one column repeats, each time beside the same value of the other.

    0 if one stands beside different values, or if so many could agree by this chance.
    """
    partner: dict[Hashable, Value] = {}
    repeats = 0
    for value, other in zip(first, second, strict=True):
        if value is None:
            continue
        if partner.setdefault(value, other) != other:
            return 0
        repeats += 1
    repeats -= len(partner)
    return 0 if would_agree(second, repeats, chance) else repeats


def would_agree(values: Sequence[Value], times: int, chance: float = CHANCE) -> bool:
    """Whether values drawn from these could agree by chance with others so many times in a row."""
    shares = [count / len(values) for count in Counter(values).values()]
    return sum(share * share for share in shares) ** times >= chance


def would_differ(first: Sequence[Value], second: Sequence[Value], chance: float = CHANCE) -> bool:
    """Whether values drawn from two columns could by chance differ in each row."""
    counts, others = Counter(first), Counter(second)
    equal = sum(count * others[value] for value, count in counts.items() if value is not None)
    return (1 - equal / len(first) ** 2) ** len(first) >= chance if first else True


def would_repeat(
    rows: Sequence[Sequence[Value]], key: Sequence[int], chance: float = CHANCE
) -> bool:
    """Whether rows with these columns drawn independently would hardly all differ."""
    pairs = len(rows) * (len(rows) - 1) / 2
    for index in key:
        counts = Counter(row[index] for row in rows)
        pairs *= sum((count / len(rows)) ** 2 for count in counts.values())
    return -pairs < math.log(chance)


def are_each_chosen_once(parents: int, children: int) -> bool:
    """Whether it is a rule that no two children have the same parent: at random, some would."""
    if not 0 < children <= parents:
        return False
    return sum(math.log1p(-number / parents) for number in range(children)) < math.log(LIKELY)


def are_all_chosen(parents: int, children: int) -> bool:
    """Whether it is a rule that each parent has a child: at random, some would have none."""
    if not parents or not children:
        return False
    return parents * math.log1p(-math.exp(-children / parents)) < math.log(CHANCE)


def totals(rows: Sequence[Sequence[Value]], free: Sequence[int]) -> Iterator[tuple[int, range]]:
    """Columns that are the sum of columns side by side, as the total of a weight lifter.

    Args:
        rows: of a table; reals may be rounded to 1/64.
        free: columns that are neither keys nor references.
    """
    if len(rows) < FEWEST:
        return
    numbers = [index for index in free if all(isinstance(row[index], int | float) for row in rows)]
    for total in numbers:
        for first, last in combinations(numbers, 2):
            parts = range(first, last + 1)
            is_fit = total not in parts and set(parts) <= set(numbers)
            if is_fit and all(_adds_up(row, total, parts) for row in rows) and _vary(rows, parts):
                yield total, parts
                break


def _adds_up(row: Sequence[Value], total: int, parts: range) -> bool:
    added = math.fsum(cast(float, row[index]) for index in parts)
    return abs(cast(float, row[total]) - added) < len(parts) / 64


def _vary(rows: Sequence[Sequence[Value]], parts: range) -> bool:
    return all(len({row[index] for row in rows}) > 1 for index in parts)
