"""What a model reads and what its completion says; training and inference share every word.

In: questions, schemas, results. Out: chat messages; and back: `Answer` from a completion.
Imports questions, schema, values and the rooms above them.
"""
