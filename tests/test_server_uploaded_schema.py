"""A schema as text becomes a database of our own making; nothing of the text is run."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from slmsql.errors import InputError
from slmsql.schema.reading import read_schema
from slmsql.server import uploaded_schema
from slmsql.server.uploaded_schema import UploadedSchemas


def database_from_ddl(ddl, folder):
    with UploadedSchemas(folder).database(ddl) as path:
        return path


def tables(ddl, folder):
    return {table.name: table for table in read_schema(database_from_ddl(ddl, folder)).tables}


def test_tables_columns_types_and_keys_are_read(tmp_path):
    read = tables(
        """
        CREATE TABLE artist (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL DEFAULT 'x');
        CREATE TABLE album (
            artist INT, number INT, "release year" INT,
            PRIMARY KEY (artist, number),
            FOREIGN KEY (artist) REFERENCES artist (id)
        );
        CREATE TABLE IF NOT EXISTS song (id INT, album_artist INT REFERENCES artist (id));
        """,
        tmp_path,
    )
    assert list(read) == ["artist", "album", "song"]
    assert read["artist"].columns[1].type == "TEXT(40)"
    assert read["album"].primary_key == ("artist", "number")
    assert read["album"].columns[2].name == "release year"
    assert read["album"].foreign_keys[0].parent == "artist"
    assert read["song"].foreign_keys[0].columns == ("album_artist",)


def test_the_same_text_gives_the_same_file(tmp_path):
    first = database_from_ddl("CREATE TABLE t (a)", tmp_path)
    assert first == database_from_ddl("CREATE TABLE t (a)", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_oldest_files_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(uploaded_schema, "MOST_FILES", 3)
    paths = [database_from_ddl(f"CREATE TABLE t{n} (a)", tmp_path) for n in range(5)]
    assert sorted(tmp_path.iterdir()) == sorted(paths[2:])


def test_a_file_in_use_is_never_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(uploaded_schema, "MOST_FILES", 3)
    uploads = UploadedSchemas(tmp_path)
    with uploads.database("CREATE TABLE t (a)") as path, uploads.database("CREATE TABLE t (a)"):
        for number in range(5):
            with uploads.database(f"CREATE TABLE t{number} (a)"):
                assert path.exists()
    with uploads.database("CREATE TABLE u (a)"):
        assert not path.exists()  # now it is the oldest


def test_many_threads_may_ask_for_the_same_schema(tmp_path):
    uploads = UploadedSchemas(tmp_path)

    def read(_):
        with uploads.database("CREATE TABLE t (a)") as path:
            return path.stat().st_ino

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(read, range(40)))) == 1


def test_the_error_for_a_bad_schema_names_no_path(tmp_path):
    with pytest.raises(InputError, match="reserved") as caught:
        database_from_ddl("CREATE TABLE sqlite_x (a INT)", tmp_path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("ddl", "message"),
    [
        ("", "no CREATE TABLE"),
        ("SELECT 1", "no CREATE TABLE"),
        ("CREATE TABLE t AS SELECT 1", "no CREATE TABLE"),
        ("CREATE TABLE t (", "cannot be parsed"),
        ('CREATE TABLE t ("a\nb" INT)', "cannot be the name"),
        (f"CREATE TABLE {'x' * 200} (a)", "cannot be the name"),
        ("".join(f"CREATE TABLE t{n} (a);" for n in range(300)), "too large"),
    ],
)
def test_text_without_a_schema_is_refused(tmp_path, ddl, message):
    with pytest.raises(InputError, match=message):
        database_from_ddl(ddl, tmp_path)
    assert list(tmp_path.iterdir()) == []
