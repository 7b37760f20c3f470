"""What a database looks like: tables, columns, keys, descriptions, sample values.

In: a database file. Out: `Schema` and its text, whole or cut to a budget or to what queries use.
Imports execution and the rooms above it.
"""
