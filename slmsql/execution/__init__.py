"""Runs SQL on SQLite databases, safely and with the same verdict on every machine.

    with Executor() as executor:
        executor.run([Statement(database, sql)], preview=5)
        executor.judge([Pair(database, predicted, gold)], match=Match.BIRD)

In: databases and SQL from anyone, a model too. Out: executions (status, rows, error) and verdicts.
No other room opens a database. Imports only `slmsql.errors`, `slmsql.sql` and `slmsql.match`.
"""

from slmsql.execution.database import (
    DAMAGED_DATABASE,
    connect,
    create_database,
    database_fault,
    fingerprint,
    reading,
)
from slmsql.execution.executor import Executor
from slmsql.execution.reversal import create_reversed_copy
from slmsql.execution.types import Execution, Limits, Pair, Row, Statement, Status, Verdict

__all__ = [
    "DAMAGED_DATABASE",
    "Execution",
    "Executor",
    "Limits",
    "Pair",
    "Row",
    "Statement",
    "Status",
    "Verdict",
    "connect",
    "create_database",
    "create_reversed_copy",
    "database_fault",
    "fingerprint",
    "reading",
]
