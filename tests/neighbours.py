"""Small databases and their neighbours, for the tests of neighbours."""

import sqlite3

from slmsql.execution import create_database
from slmsql.suites.neighbours.building import try_neighbours
from slmsql.suites.neighbours.reading import read_profile


def database(tmp_path, script, name="db"):
    path = tmp_path / f"{name}.sqlite"
    create_database(path, script)
    return path


def neighbours_of(path, gold, executor, tmp_path, rounds=1):
    """The trial of a gold query, after few rounds."""
    folder = tmp_path / "neighbours"
    folder.mkdir()
    return try_neighbours(gold, read_profile(path), executor, folder, rounds=rounds)


def rows(path, sql):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def filled(schema, tables):
    """A script that creates tables and fills them, each with rows written as Python tuples."""
    return schema + "".join(
        f"INSERT INTO {table} VALUES {', '.join(map(str, values))};"
        for table, values in tables.items()
    )


def broken(trial, rules):
    """The rules that a neighbour breaks: those whose query finds a row."""
    return {rule for path in trial.killed for rule, query in rules.items() if rows(path, query)}
