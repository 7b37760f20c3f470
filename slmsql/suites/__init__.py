"""Evaluation suites that are made, not downloaded: a small shop and a laboratory.

A suite is a database, filled by a seeded generator, and forms: a question and its SQL with places
for values. Everything is executed and checked before it is written; the same seed gives the same
bytes.
"""

from slmsql.suites.forms import Form, Item
from slmsql.suites.laboratory import LABORATORY
from slmsql.suites.making import Suite, check, make
from slmsql.suites.shop import SHOP

__all__ = ["LABORATORY", "SHOP", "Form", "Item", "Suite", "check", "make"]
