"""A random subset of a schema's columns, for training on SynSQL as published.

A model that always saw the whole schema would rely on seeing every column.
"""

import random
from dataclasses import replace

from slmsql.schema.budget import key_columns, without_columns
from slmsql.schema.model import Schema
from slmsql.schema.used_columns import used_schema

MOST_COLUMNS = 225
LEAST_SHARE = 0.1  # of the columns that the query does not use


def random_subset(schema: Schema, sql: str, seed: str) -> Schema:
    """Keep keys, the columns that the query uses and a random share of the rest; shuffle tables.

    Args:
        schema: the whole schema.
        sql: the gold query.
        seed: the same seed gives the same subset.
    """
    random_numbers = random.Random(seed)
    required = key_columns(schema) | {
        (table.name.lower(), column.name.lower())
        for table in used_schema(schema, [sql]).tables
        for column in table.columns
    }
    others = [
        (table.name, column.name)
        for table in schema.tables
        for column in table.columns
        if (table.name.lower(), column.name.lower()) not in required
    ]
    share = random_numbers.uniform(LEAST_SHARE, 1.0)
    room = max(0, MOST_COLUMNS - len(required))
    chosen = set(random_numbers.sample(others, min(round(share * len(others)), room)))
    subset = without_columns(schema, set(others) - chosen)
    tables = list(subset.tables)
    random_numbers.shuffle(tables)
    return replace(subset, tables=tuple(tables))
