"""SQL as text: tokens as SQLite sees them, quoting of names, syntax trees.

In: SQL as a model or a person wrote it. Out: tokens, quoted names, trees or None.
Imports nothing of ours.
"""
