"""Databases that a program makes: a small shop, a laboratory and a sample (`chinook.py`), and in
`neighbours/` variants of a database that show which answers were right by coincidence.

    make(SHOP, Path("suites/shop"), seed=42, executor=executor)

In: a suite (the SQL of its database, and forms of question with their SQL) and a seed. Out: a
SQLite database and question files; the same seed gives the same bytes. Every gold query runs and
is checked before it is written. Imports execution, questions and sql.
"""

from slmsql.suites.faults import check
from slmsql.suites.forms import Form, FormQuestion
from slmsql.suites.laboratory import LABORATORY
from slmsql.suites.shop import SHOP
from slmsql.suites.suite import Suite, make

__all__ = ["LABORATORY", "SHOP", "Form", "FormQuestion", "Suite", "check", "make"]
