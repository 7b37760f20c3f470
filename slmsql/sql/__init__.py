"""SQL as text: tokens as SQLite sees them, quoting of names, syntax trees.

In: SQL that a model or a person wrote. Out: tokens, quoted names, trees (None if unreadable).
Imports none of our modules.
"""
