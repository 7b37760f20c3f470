"""A recursive-descent parser of Spider's grammar.

It accepts what the parser of Spider's evaluator accepts, limits included, because they define the
metric. Unlike that parser, it does not need spaces around `=` and other marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from slmsql.evaluation.spider.catalog import Catalog
from slmsql.sql.tokens import meaningful

CLAUSES = frozenset(
    ("select", "from", "where", "group", "order", "limit", "intersect", "union", "except")
)
AFTER_TABLE = frozenset(("join", "on", "as"))
AGGREGATES = frozenset(("max", "min", "count", "sum", "avg"))
ARITHMETIC = frozenset("-+*/")
COMPARISONS = frozenset(
    ("between", "=", ">", "<", ">=", "<=", "!=", "in", "like", "is", "exists", "not")
)
COMPOUNDS = ("intersect", "union", "except")


class NotInGrammar(Exception):
    """The text is not a query of Spider's grammar."""


@dataclass(frozen=True, slots=True)
class Column:
    """`aggregate(DISTINCT table.column)`; the name is `*` for all columns."""

    aggregate: str
    name: str
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A column, or two columns with an operator between them."""

    operator: str
    first: Column
    second: Column | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison, without its constants but with its subqueries."""

    negated: bool
    operator: str
    value: Value
    subqueries: tuple["Query | None", "Query | None"] = (None, None)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions in order, and the ANDs and ORs between them."""

    parts: tuple[Condition, ...] = ()
    connectors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT, and the query that a set operation combines it with."""

    distinct: bool
    select: tuple[tuple[str, Value], ...]
    tables: tuple["str | Query", ...]
    joins: Conditions = field(default_factory=Conditions)
    where: Conditions = field(default_factory=Conditions)
    group: tuple[Column, ...] = ()
    having: Conditions = field(default_factory=Conditions)
    order: tuple[Value, ...] = ()
    direction: str = "asc"
    limit: bool = False
    compound: tuple[str, "Query"] | None = None


def read_query(sql: str, catalog: Catalog) -> Query:
    """Parse a query.

    Raises:
        NotInGrammar: the text is not SQL, or is SQL outside Spider's grammar.
    """
    words = _words(sql)
    aliases = {words[i + 1]: words[i - 1] for i in range(1, len(words) - 1) if words[i] == "as"}
    if clash := aliases.keys() & catalog.columns.keys():
        raise NotInGrammar(f"aliases with the name of a table: {sorted(clash)}")
    aliases.update({name: name for name in catalog.columns})
    try:
        return _Reader(words, aliases, catalog).query()
    except (IndexError, RecursionError) as error:
        raise NotInGrammar("the query ends too early or is nested too deeply") from error


def _words(sql: str) -> list[str]:
    """The words in lower case; `t.column` and `>=` are one word, and strings keep their quotes."""
    words: list[str] = []
    for kind, text in meaningful(sql):
        text = text.lower() if kind == "word" else text
        if words and _continues(words[-1], text):
            words[-1] += text
        else:
            words.append(text)
    return words


def _continues(word: str, text: str) -> bool:
    if text == "=":
        return word in ("!", ">", "<")
    return (text == "." or word.endswith(".")) and not _is_text(word)


def _is_text(word: str) -> bool:
    return word[0] in "'\""


class _Reader:
    """A position in the words of a query; each method reads one part and moves past it."""

    def __init__(self, words: Sequence[str], aliases: dict[str, str], catalog: Catalog) -> None:
        self.words = words
        self.aliases = aliases
        self.catalog = catalog
        self.at = 0

    @property
    def word(self) -> str:
        """The next word; empty after the last one."""
        return self.words[self.at] if self.at < len(self.words) else ""

    def skip(self, word: str) -> bool:
        """Move past a word if it comes next; returns whether it did."""
        if self.word != word or not word:
            return False
        self.at += 1
        return True

    def expect(self, word: str) -> None:
        if not self.skip(word):
            raise NotInGrammar(f"expected {word!r}, got {self.word!r}")

    def query(self) -> Query:
        block = self.skip("(")
        start = self.at
        tables, names, joins = self.tables()
        end, self.at = self.at, start
        distinct, select = self.select(names)
        self.at = end
        where = self.conditions(names) if self.skip("where") else Conditions()
        group = self.group(names)
        having = self.conditions(names) if self.skip("having") else Conditions()
        order, direction = self.order(names)
        limit = self.limit()
        self.semicolons()
        if block:
            self.expect(")")
        self.semicolons()
        compound = self.compound()
        return Query(
            distinct, select, tables, joins, where, group, having, order, direction, limit, compound
        )

    def select(self, names: Sequence[str]) -> tuple[bool, tuple[tuple[str, Value], ...]]:
        self.expect("select")
        distinct = self.skip("distinct")
        chosen: list[tuple[str, Value]] = []
        while self.word and self.word not in CLAUSES:
            aggregate = self.aggregate()
            chosen.append((aggregate, self.value(names)))
            self.skip(",")
        return distinct, tuple(chosen)

    def tables(self) -> tuple[tuple["str | Query", ...], list[str], Conditions]:
        try:
            self.at = self.words.index("from", self.at) + 1
        except ValueError:
            raise NotInGrammar("no FROM") from None
        tables: list[str | Query] = []
        names: list[str] = []
        parts: list[Condition] = []
        connectors: list[str] = []
        while self.word:
            self.table(tables, names)
            if self.word in CLAUSES or self.word in (")", ";"):
                break
            if self.skip("on"):
                joined = self.conditions(names)
                connectors += (["and"] if parts else []) + list(joined.connectors)
                parts += joined.parts
            if self.word in CLAUSES or self.word in (")", ";"):
                break
        return tuple(tables), names, Conditions(tuple(parts), tuple(connectors))

    def table(self, tables: list["str | Query"], names: list[str]) -> None:
        block = self.skip("(")
        if self.word == "select":
            tables.append(self.query())
        else:
            self.skip("join")
            name = self.table_name(self.word)
            self.at += 3 if self.words[self.at + 1 : self.at + 2] == ["as"] else 1
            tables.append(name)
            names.append(name)
        if block:
            self.expect(")")

    def table_name(self, word: str) -> str:
        name = self.aliases.get(word, "")
        if name not in self.catalog.columns:
            raise NotInGrammar(f"no table {word!r}")
        return name

    def conditions(self, names: Sequence[str]) -> Conditions:
        parts: list[Condition] = []
        connectors: list[str] = []
        while self.word:
            parts.append(self.condition(names))
            if self.word in CLAUSES or self.word in AFTER_TABLE or self.word in (")", ";"):
                break
            if self.word in ("and", "or"):
                connectors.append(self.word)
                self.at += 1
        return Conditions(tuple(parts), tuple(connectors))

    def condition(self, names: Sequence[str]) -> Condition:
        value = self.value(names)
        negated = self.skip("not")
        operator = self.word
        if operator not in COMPARISONS:
            raise NotInGrammar(f"{operator!r} is no comparison")
        self.at += 1
        first, second = self.operand(names), None
        if operator == "between":
            self.expect("and")
            second = self.operand(names)
        return Condition(negated, operator, value, (first, second))

    def operand(self, names: Sequence[str]) -> Query | None:
        """The right side of a comparison: a subquery; None for a constant or a column."""
        start = self.at
        block = self.skip("(")
        subquery = None
        if self.word == "select":
            subquery = self.query()
        elif not self.constant():
            self.column_operand(start, names)
        if block:
            self.expect(")")
        return subquery

    def constant(self) -> bool:
        """Move past a text or a number; returns whether one came next."""
        signed = self.at + (self.word in ("-", "+"))
        word = self.words[signed]
        if not (_is_text(word) or word[0].isdigit() or (word[0] == "." and word[1:].isdigit())):
            return False
        self.at = signed + 1
        return True

    def column_operand(self, start: int, names: Sequence[str]) -> None:
        """A column on the right side. Like the evaluator, this skips an OR up to the next AND."""
        end = self.at
        stop = CLAUSES | AFTER_TABLE | {",", ")", "and"}
        while end < len(self.words) and self.words[end] not in stop:
            end += 1
        part = _Reader(self.words[start:end], self.aliases, self.catalog)
        part.column(names)
        self.at = end

    def value(self, names: Sequence[str]) -> Value:
        block = self.skip("(")
        first, operator, second = self.column(names), "", None
        if self.word in ARITHMETIC and self.word:
            operator = self.word
            self.at += 1
            second = self.column(names)
        if block:
            self.expect(")")
        return Value(operator, first, second)

    def column(self, names: Sequence[str]) -> Column:
        block = self.skip("(")
        aggregate = self.aggregate()
        if aggregate:
            self.expect("(")
        distinct = self.skip("distinct")
        name = self.column_name(names)
        if aggregate or block:
            self.expect(")")
        return Column(aggregate, name, distinct)

    def column_name(self, names: Sequence[str]) -> str:
        word = self.words[self.at]
        self.at += 1
        if word == "*":
            return word
        prefix, dot, column = word.partition(".")
        tables = [self.table_name(prefix)] if dot else names
        for table in tables:
            if (column if dot else word) in self.catalog.columns[table]:
                return f"{table}.{column if dot else word}"
        raise NotInGrammar(f"no column {word!r}")

    def aggregate(self) -> str:
        word = self.word
        return word if word in AGGREGATES and self.skip(word) else ""

    def group(self, names: Sequence[str]) -> tuple[Column, ...]:
        if not self.skip("group"):
            return ()
        self.expect("by")
        columns = [self.column(names)]
        while self.skip(","):
            columns.append(self.column(names))
        return tuple(columns)

    def order(self, names: Sequence[str]) -> tuple[tuple[Value, ...], str]:
        direction = "asc"
        if not self.skip("order"):
            return (), direction
        self.expect("by")
        values: list[Value] = []
        while not values or self.skip(","):
            values.append(self.value(names))
            if self.word in ("asc", "desc"):
                direction = self.word
                self.at += 1
        return tuple(values), direction

    def limit(self) -> bool:
        if not self.skip("limit"):
            return False
        self.at += 1
        return True

    def semicolons(self) -> None:
        while self.skip(";"):
            pass

    def compound(self) -> tuple[str, Query] | None:
        operator = self.word
        if operator not in COMPOUNDS:
            return None
        self.at += 1
        return operator, self.query()
