"""What a model reads and what its completion says; training and inference share every word.

In: questions with their schemas and values; candidates with their results. Out: chat messages
(build.py) from the templates in templates/. In: a completion. Out: `Answer` (answer.py).

result_text.py shows the result of a query as text; tokens.py counts tokens.

May import questions, schema, values and what they import.
"""
