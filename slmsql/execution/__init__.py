"""Runs SQL on databases, safely; on SQLite with the same verdict on every machine.

    with Executor() as executor:
        executor.run([Statement(database, sql)], preview=5)
        executor.judge([Pair(database, predicted, gold)], match=Match.BIRD)

In: databases and SQL from anyone, a model too. Out: executions (status, rows, error) and verdicts.
SQLite is the fast path. engines/ has the others.

No other room opens a database. Imports only `slmsql.errors`, `files`, `sql` and `match`.
"""

from slmsql.execution.database import (
    DAMAGED_DATABASE,
    connect,
    create_database,
    reading,
)
from slmsql.execution.executor import Executor
from slmsql.execution.filling import Filling, create_filled
from slmsql.execution.locating import check_usable, database_fault, fingerprint
from slmsql.execution.reversal import create_reversed_copy
from slmsql.execution.types import Execution, Limits, Pair, Row, Statement, Status, Verdict

__all__ = [
    "DAMAGED_DATABASE",
    "Execution",
    "Executor",
    "Filling",
    "Limits",
    "Pair",
    "Row",
    "Statement",
    "Status",
    "Verdict",
    "check_usable",
    "connect",
    "create_database",
    "create_filled",
    "create_reversed_copy",
    "database_fault",
    "fingerprint",
    "reading",
]
