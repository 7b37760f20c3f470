"""Queries of ours on the catalogs of DuckDB, PostgreSQL and MySQL, with the same columns in each.

PostgreSQL's information_schema hides keys from users who may only select, so its own catalog is
read.
"""

from typing import NamedTuple

from slmsql.sql.dialect import Dialect


class Catalog(NamedTuple):
    """Queries on an engine's catalog. Tables include views."""

    columns: str
    """Table, column, type and comment, in order."""
    primary_keys: str
    """Table and column, in the order of the key."""
    foreign_keys: str
    """Table, name of the key, column, table and column it refers to, in the order of the key."""


CATALOGS = {
    Dialect.DUCKDB: Catalog(
        columns="""
            SELECT table_name, column_name, data_type, comment FROM duckdb_columns()
            WHERE NOT internal AND schema_name = current_schema()
            ORDER BY table_oid, column_index
        """,
        primary_keys="""
            SELECT table_name, unnest(constraint_column_names) FROM duckdb_constraints()
            WHERE constraint_type = 'PRIMARY KEY' AND schema_name = current_schema()
        """,
        foreign_keys="""
            SELECT table_name, constraint_index, unnest(constraint_column_names),
                   referenced_table, unnest(referenced_column_names)
            FROM duckdb_constraints()
            WHERE constraint_type = 'FOREIGN KEY' AND schema_name = current_schema()
            ORDER BY table_oid, constraint_index
        """,
    ),
    # The tables that the search path finds, without partitions: their parent stands for them.
    Dialect.POSTGRES: Catalog(
        columns="""
            SELECT relname, attname, format_type(atttypid, atttypmod),
                   col_description(c.oid, attnum)
            FROM pg_class c JOIN pg_attribute ON attrelid = c.oid
            WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
              AND relnamespace NOT IN ('pg_catalog'::regnamespace,
                                       'information_schema'::regnamespace)
              AND pg_table_is_visible(c.oid) AND has_column_privilege(c.oid, attnum, 'SELECT')
              AND attnum > 0 AND NOT attisdropped
            ORDER BY c.oid, attnum
        """,
        primary_keys="""
            SELECT relname, attname
            FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid,
                 unnest(conkey) WITH ORDINALITY AS part (number, position)
                 JOIN pg_attribute ON attnum = number
            WHERE contype = 'p' AND attrelid = conrelid AND pg_table_is_visible(conrelid)
            ORDER BY conrelid, position
        """,
        foreign_keys="""
            SELECT c.relname, k.oid::text, a.attname, p.relname, r.attname
            FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid
                 JOIN pg_class p ON p.oid = confrelid,
                 unnest(conkey, confkey) WITH ORDINALITY AS part (number, reference, position)
                 JOIN pg_attribute a ON a.attnum = number
                 JOIN pg_attribute r ON r.attnum = reference
            WHERE contype = 'f' AND conparentid = 0
              AND a.attrelid = conrelid AND r.attrelid = confrelid
              AND pg_table_is_visible(conrelid)
            ORDER BY k.oid, position
        """,
    ),
    Dialect.MYSQL: Catalog(
        columns="""
            SELECT table_name, column_name, column_type, column_comment
            FROM information_schema.columns WHERE table_schema = database()
            ORDER BY table_name, ordinal_position
        """,
        primary_keys="""
            SELECT table_name, column_name FROM information_schema.key_column_usage
            WHERE table_schema = database() AND constraint_name = 'PRIMARY'
            ORDER BY table_name, ordinal_position
        """,
        foreign_keys="""
            SELECT table_name, constraint_name, column_name, referenced_table_name,
                   referenced_column_name
            FROM information_schema.key_column_usage
            WHERE table_schema = database() AND referenced_table_name IS NOT NULL
            ORDER BY table_name, constraint_name, ordinal_position
        """,
    ),
}
