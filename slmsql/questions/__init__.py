"""Where questions come from, and which of them may be trained on.

In: benchmark folders, JSON, JSON Lines, parquet, data sets on the Hugging Face hub.
Out: `Question` (question.py), with its database and, where the data has it, its gold SQL.

reading.py reads files and benchmarks, synsql.py SynSQL-2.5M, inline_schemas.py data sets that give
each question its schema as SQL text; ddl.py creates databases from such text. leakage.py and
near_duplicates.py compare training questions with evaluation questions; gold_audit.py checks gold
queries by running them. words.py gives the words of a text, normalised.

May import errors, files, sql, match and execution.
"""
