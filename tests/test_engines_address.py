"""Names of databases: which engine they mean, what they say of a server, and no passwords."""

from pathlib import Path

import pytest

from slmsql.errors import InputError
from slmsql.execution.engines.address import dialect_of, name_of, server_address, with_name
from slmsql.execution.engines.names import ForbiddenNames
from slmsql.sql.dialect import Dialect


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("postgresql://ann@host/sales", Dialect.POSTGRES),
        ("postgres:/host/sales", Dialect.POSTGRES),
        ("mysql://host/sales", Dialect.MYSQL),
        ("mariadb://host/sales", Dialect.MYSQL),
        ("/", Dialect.DUCKDB),
        ("missing.sqlite", Dialect.SQLITE),
        ("postgresql/sales.sqlite", Dialect.SQLITE),
    ],
)
def test_a_name_means_one_engine(name, dialect):
    assert dialect_of(Path(name)) is dialect


def test_a_url_is_taken_apart_whatever_its_slashes():
    for url in (
        "postgresql://ann@host:5433/sales?sslmode=require",
        "postgresql:/ann@host:5433/sales",
    ):
        address = server_address(Path(url))
        assert (address.user, address.host, address.port) == ("ann", "host", 5433)
        assert address.database == "sales"
    assert server_address(Path("postgresql:///sales")).host == ""
    assert server_address(Path("postgresql://u@%2Ftmp%2Fx/a%20b")).host == "/tmp/x"
    assert server_address(Path("postgresql://u@%2Ftmp%2Fx/a%20b")).database == "a b"
    assert server_address(Path("mysql://h/d?a=1&b=%2Fx")).options == {"a": "1", "b": "/x"}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://ann:secret@host/sales", "must not hold a password; set PGPASSWORD"),
        ("mysql://ann:secret@host/sales", "must not hold a password; set MYSQL_PWD"),
        ("postgresql://host:x/sales", "'x' is not a port"),
        ("postgresql://host:70000/sales", "'70000' is not a port"),
    ],
)
def test_a_wrong_url_is_refused_without_repeating_a_password(url, message):
    with pytest.raises(InputError, match=message) as raised:
        server_address(Path(url))
    assert "secret" not in str(raised.value)


def test_each_question_has_its_database_on_a_server_or_in_a_folder(tmp_path):
    assert with_name(Path("postgresql://ann@host:1"), "shop") == Path(
        "postgresql://ann@host:1/shop"
    )
    assert with_name(Path("mysql://h?x=1"), "shop") == Path("mysql://h/shop?x=1")
    assert with_name(Path("postgresql://host/bird"), "shop") == Path("postgresql://host/bird")
    assert with_name(tmp_path, "shop") == tmp_path / "shop" / "shop.sqlite"
    assert name_of(Path("postgresql://ann@host/sales?sslmode=require")) == "sales"


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT pg_sleep(1)", ("pg_sleep", "forbidden function")),
        ("SELECT PG_SLEEP (1)", ("pg_sleep", "forbidden function")),
        ('SELECT "pg_sleep"(1)', ("pg_sleep", "forbidden function")),
        ("SELECT x.pg_sleep\n(1)", ("pg_sleep", "forbidden function")),
        ("SELECT pg_sleep/* (*/(1)", ("pg_sleep", "forbidden function")),
        ("SELECT pg_sleep--\n(1)", ("pg_sleep", "forbidden function")),
        ("SELECT '/*' || pg_sleep(1) || '*/'", ("pg_sleep", "forbidden function")),
        ("SELECT E'\\'' || pg_sleep(1) || ''", ("pg_sleep", "forbidden function")),
        ("SELECT $$'$$ || pg_sleep(1)", ("pg_sleep", "forbidden function")),
        ("SELECT * FROM Pg_Class", ("pg_class", "schema table")),
        ("SELECT pg_sleep FROM naps", None),
        ("SELECT my_pg_sleep(1), pg_sleeper(2)", None),
    ],
)
def test_forbidden_names_are_found_whatever_hides_them(sql, found):
    names = ForbiddenNames(frozenset({"pg_sleep"}), frozenset({"pg_class"}))
    assert names.found(sql) == found
