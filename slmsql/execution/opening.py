"""How a worker opens a database of any engine."""

import os
import site
import sys
from pathlib import Path

from slmsql.execution.engines.address import dialect_of, server_address
from slmsql.execution.engines.timer import uncounted
from slmsql.execution.result import Sandbox
from slmsql.execution.sandbox import SQLiteSandbox
from slmsql.execution.types import Limits
from slmsql.sql.dialect import Dialect

LOW_PRIORITY = 10  # as `nice` counts


def open_sandbox(path: str, limits: Limits) -> Sandbox:
    """Open what `locate` found, so that any SQL can be run on it."""
    dialect = dialect_of(Path(path))
    if dialect is Dialect.SQLITE:
        return SQLiteSandbox(Path(path), limits)
    if sys.flags.no_site:  # the worker started without site-packages, where the drivers are
        with uncounted():
            site.main()
    if dialect is Dialect.DUCKDB:
        from slmsql.execution.engines.duckdb_sandbox import DuckDBSandbox

        # It computes in this process, for seconds on end: others who read the file come first.
        priority = max(LOW_PRIORITY, os.getpriority(os.PRIO_PROCESS, 0))
        os.setpriority(os.PRIO_PROCESS, 0, priority)
        return DuckDBSandbox(path, limits)
    address = server_address(Path(path))
    if dialect is Dialect.MYSQL:
        from slmsql.execution.engines.mysql import MySQLSandbox

        return MySQLSandbox(address, limits)
    from slmsql.execution.engines.postgres import PostgresSandbox

    return PostgresSandbox(address, limits)
