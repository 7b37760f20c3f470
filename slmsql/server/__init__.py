"""Single questions answered: the service behind `ask`, `serve` and `mcp`, its routes and its page.

In: a question and a database, or a schema as text. Out: SQL, its rows, and how it was chosen.
May import page, evaluation, sampling, consistency, cli and the rooms before them.
"""
