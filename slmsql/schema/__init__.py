"""A database's tables, columns, keys, descriptions and sample values.

In: a database file (reading.py). Out: `Schema` and its text as CREATE TABLE statements (model.py)
or in short (short.py), whole, cut to a token budget (budget.py), cut to the columns that queries
use (used_columns.py) or to a random subset for training (random_subset.py). literals.py finds the
text literals of a query and their columns.

May import execution, questions and what they import.
"""
