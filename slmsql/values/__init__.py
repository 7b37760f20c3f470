"""Values of a database that a question mentions, so that a prompt can show them.

In: a question and a database. Out: values by table and column, from an index kept on disk.
Imports execution and the rooms above it.
"""
