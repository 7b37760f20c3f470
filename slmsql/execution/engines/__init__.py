"""Databases that are not SQLite: DuckDB's files, folders of tables, PostgreSQL and MySQL.

address.py says which engine a database's name means. Each engine has a sandbox, which runs any
SQL inside a worker, and a function for our own queries. The drivers (duckdb, psycopg, pymysql) are
imported inside functions: who uses SQLite alone needs none of them.
"""
