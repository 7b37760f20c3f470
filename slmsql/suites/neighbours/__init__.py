"""Neighbour databases: small variants of a database that tell a right query from a lucky one.

    for record in make_suites(questions, Path("suites"), seed=0, workers=2): ...
    Suites(Path("suites")).neighbours(database, gold_sql)  # the files that judge this gold query

In: a database and its gold queries. Out: for each gold query a suite, a few databases of the same
schema whose rows could occur in the original. A query that agrees with the gold query on the
original and on all of them is hardly right by coincidence. Imports execution, match, questions and
sql.
"""
