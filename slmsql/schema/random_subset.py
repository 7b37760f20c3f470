"""Schemas made thinner for training, as published: a model must not count on seeing everything."""

import random
from dataclasses import replace

from slmsql.schema.budget import key_columns, without
from slmsql.schema.model import Schema
from slmsql.schema.used_columns import used_schema

MOST_COLUMNS = 225
LEAST_SHARE = 0.1  # of the columns that the query does not use


def thin(schema: Schema, sql: str, seed: str) -> Schema:
    """Keep keys, columns that the query uses and a random share of the others; shuffle the tables.

    Args:
        seed: the same seed gives the same schema.
    """
    chance = random.Random(seed)
    kept = key_columns(schema) | _used(schema, sql)
    others = [
        (table.name, column.name)
        for table in schema.tables
        for column in table.columns
        if (table.name.lower(), column.name.lower()) not in kept
    ]
    share = chance.uniform(LEAST_SHARE, 1.0)
    room = max(0, MOST_COLUMNS - len(kept))
    spared = set(chance.sample(others, min(round(share * len(others)), room)))
    thinner = without(schema, set(others) - spared)
    tables = list(thinner.tables)
    chance.shuffle(tables)
    return replace(thinner, tables=tuple(tables))


def _used(schema: Schema, sql: str) -> set[tuple[str, str]]:
    return {
        (table.name.lower(), column.name.lower())
        for table in used_schema(schema, [sql]).tables
        for column in table.columns
    }
