"""The SQL dialects that we know; each value is also sqlglot's name of the dialect."""

from enum import StrEnum


class Dialect(StrEnum):
    """The dialect of a database engine."""

    SQLITE = "sqlite"
    DUCKDB = "duckdb"
    POSTGRES = "postgres"
    MYSQL = "mysql"
    """Also MariaDB's."""

    @property
    def label(self) -> str:
        """The name that people and prompts use."""
        return LABELS[self]


LABELS = {
    Dialect.SQLITE: "SQLite",
    Dialect.DUCKDB: "DuckDB",
    Dialect.POSTGRES: "PostgreSQL",
    Dialect.MYSQL: "MySQL",
}
