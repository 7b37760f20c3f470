"""Cuts a schema to a token budget: the least relevant columns go first, key columns never."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace

from slmsql.questions.words import STOP_WORDS, estimate_tokens, words
from slmsql.schema.model import Column, RetrievedValues, Schema, Table

SchemaText = Callable[[Schema, RetrievedValues], str]  # how a prompt shows a schema

# Points of relevance. A word of the question in the column's name counts more than one in its
# description or in the table's name; a value retrieved for the question counts most.
VALUE_POINTS = 4
NAME_POINTS = 3
MOST_DESCRIPTION_POINTS = 2


@dataclass(frozen=True, slots=True)
class BudgetedSchema:
    """A schema, and the number of columns left out of it."""

    schema: Schema
    columns_left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Removable:
    """A column that may be left out; `position` counts such columns in the order of the schema."""

    relevance: int
    position: int
    table: str
    column: str
    tokens: int


def cut_to_budget(
    schema: Schema,
    values: RetrievedValues,
    question: str,
    tokens: int,
    text: SchemaText = Schema.text,
) -> BudgetedSchema:
    """Leave out columns until the schema's text has at most `tokens` tokens, as estimated.

    A column is relevant if the question mentions its name, its description or one of its values.
    Of equally relevant columns the last goes first. Key columns stay even if the text remains too
    long, since tables cannot be joined without them.

    Args:
        schema: the schema to cut.
        values: values retrieved for the question.
        question: the question with its evidence.
        tokens: the budget, in tokens of `estimate_tokens`.
        text: the form in which the prompt shows the schema.
    """
    excess = estimate_tokens(text(schema, values)) - tokens
    left_out: set[tuple[str, str]] = set()
    if excess > 0:
        question_words = set(words(question)) - STOP_WORDS
        columns = list(_removable_columns(schema, values, question_words, text))
        for column in sorted(columns, key=lambda column: (column.relevance, -column.position)):
            if excess <= 0:
                break
            left_out.add((column.table, column.column))
            excess -= column.tokens
    return BudgetedSchema(without_columns(schema, left_out), len(left_out))


def without_columns(schema: Schema, left_out: Set[tuple[str, str]]) -> Schema:
    """The schema without some columns, each given as (table, column).

    A table without columns is left out too: it has no keys, so no other table refers to it.
    """
    if not left_out:
        return schema
    tables = [
        replace(
            table, columns=tuple(c for c in table.columns if (table.name, c.name) not in left_out)
        )
        for table in schema.tables
    ]
    return replace(schema, tables=tuple(table for table in tables if table.columns))


def key_columns(schema: Schema) -> set[tuple[str, str]]:
    """(table, column), in lower case, of all primary keys and both sides of foreign keys."""
    columns: set[tuple[str, str]] = set()
    for table in schema.tables:
        columns |= {(table.name.lower(), column.lower()) for column in table.primary_key}
        for key in table.foreign_keys:
            columns |= {(table.name.lower(), column.lower()) for column in key.columns}
            columns |= {(key.parent.lower(), column.lower()) for column in key.references}
    return columns


def _removable_columns(
    schema: Schema, values: RetrievedValues, question_words: Set[str], text: SchemaText
) -> Iterator[_Removable]:
    keys = key_columns(schema)
    position = 0
    for table in schema.tables:
        # A table without columns counts its name and signs; each column adds itself and a comma.
        empty = estimate_tokens(text(Schema((Table(table.name, ()),)), values)) - 1
        for column in table.columns:
            place = (table.name.lower(), column.name.lower())
            if place not in keys:
                relevance = _relevance(table, column, question_words)
                relevance += VALUE_POINTS if values.get(place) else 0
                size = estimate_tokens(text(Schema((Table(table.name, (column,)),)), values))
                position += 1
                yield _Removable(relevance, position, table.name, column.name, size - empty)


def _relevance(table: Table, column: Column, question_words: Set[str]) -> int:
    in_name = len(question_words & _words_of_name(column.name))
    in_description = len(question_words & set(words(column.description)))
    in_table_name = len(question_words & _words_of_name(table.name))
    return NAME_POINTS * in_name + min(in_description, MOST_DESCRIPTION_POINTS) + in_table_name


def _words_of_name(name: str) -> set[str]:
    """The words of a name, with and without splitting camel case."""
    split = "".join(f" {letter}" if letter.isupper() else letter for letter in name)
    return {*words(split), *words(name)}
