"""Finds the values of a database that a question mentions, so that a prompt can show them.

In: a question's text and a database. Out: values by table and column (finding.py). search.py has
the four ways to match a value, fuzzy_spelling.py the tolerance for misspelt and shortened words,
index.py the index of each database, which is kept in the user's cache folder.

May import schema and what it imports, and words.
"""
