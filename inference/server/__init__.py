"""Single questions answered: the service behind `serve` and `ask`, its HTTP routes and its page.

In: a question and a database, or a schema as text. Out: SQL, its rows, and how it was chosen.
Imports inference.options and inference.sampling.
"""
