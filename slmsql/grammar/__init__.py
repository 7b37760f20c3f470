"""Which tokens of a model can continue a SELECT statement over a database.

In: a schema, the tokens of a model, the text so far. Out: the tokens that may come next; or a
grammar in EBNF, for servers. Imports the schema's model and the layouts of prompts.
"""
