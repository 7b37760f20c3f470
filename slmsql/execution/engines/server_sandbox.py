"""What the sandboxes of all servers do alike: check, connect, run, and connect again.

A server that cannot be reached is a fault of the machine (`INFRASTRUCTURE`) and says nothing about
the statement. A server that restarts is waited for; the statement then runs again.
"""

import time
from abc import ABC, abstractmethod

from slmsql.execution.database import NO_DATABASE
from slmsql.execution.engines.address import ServerAddress
from slmsql.execution.engines.names import ForbiddenNames
from slmsql.execution.engines.timer import uncounted
from slmsql.execution.result import Overflow, Result, refusal
from slmsql.execution.types import INFRASTRUCTURE, Limits, Status
from slmsql.sql.tokens import begins_query

PATIENCE = 30.0  # seconds to wait for a server that restarts or has no connection left
PAUSE = 0.25  # seconds between two attempts
GRACE = 10.0  # seconds beyond its time in which the server must end a statement


class Unreachable(Exception):
    """No connection to the server's database; the message is one line."""

    def __init__(self, message: str, *, is_final: bool, is_missing: bool = False) -> None:
        super().__init__(" ".join(message.split()))
        self.is_final = is_final  # waiting does not help: a wrong password, no such database
        self.reason = NO_DATABASE if is_missing else "no connection to the server"


class Lost(Exception):
    """The connection broke while a statement ran; the message is one line."""


class Silent(Exception):
    """The server did not end a statement in its time, nor in `GRACE` after it.

    It looks at the clock between rows and loops, but not within one long function: to search a text
    of 4 MB in one of 8 MB takes hours.
    """


class ServerSandbox(ABC):
    """A connection that may only read, and limits on time and sizes.

    Args:
        address: the server's database.
        limits: what a statement may use; `seconds` is time by the server's clock.
    """

    def __init__(self, address: ServerAddress, limits: Limits) -> None:
        self.address = address
        self.limits = limits
        self.is_open = False
        self.is_down = False  # the last connection failed although we waited
        self.forbidden = ForbiddenNames(frozenset(), frozenset())

    def execute(self, sql: str | None) -> Result:
        """Run one statement. Bad SQL does not raise.

        Raises:
            MemoryError: Python ran out of memory.
        """
        if (refused := refusal(sql, self.limits)) is not None:
            return refused
        assert sql is not None  # otherwise it was refused
        if not begins_query(sql):
            return Result(Status.REFUSED, "not a query: SELECT, WITH or VALUES", "not a query")
        try:
            sql.encode()
        except UnicodeError as error:
            return Result(Status.ERROR, f"not Unicode: {error}", "encoding")
        reason = ""
        for _ in range(2):  # the server may have restarted, or this statement makes it fail
            try:
                return self._attempt(sql)
            except Lost as lost:
                reason = f"the connection broke: {lost}"
            except Silent:
                return self._without_answer()
        return Result(Status.ERROR, reason, INFRASTRUCTURE)

    def close(self) -> None:
        """Close the connection; the next statement opens another one."""
        if self.is_open:
            self.is_open = False
            self.disconnect()

    @abstractmethod
    def connect(self) -> ForbiddenNames:
        """Open a connection that may only read.

        Raises:
            Unreachable: there is no connection.
        """

    @abstractmethod
    def disconnect(self) -> None:
        """Close the connection, whatever its state."""

    @abstractmethod
    def run(self, sql: str) -> Result:
        """Run a query that contains no forbidden name.

        Raises:
            Lost: the connection broke.
            Silent: the server did not end the query.
            Overflow: the result is over a limit; the connection is closed then.
        """

    def _attempt(self, sql: str) -> Result:
        try:
            self._open()
        except Unreachable as error:
            return Result(Status.ERROR, str(error), INFRASTRUCTURE)
        if (found := self.forbidden.found(sql)) is not None:
            return Result(Status.REFUSED, f"{found[0]} may not be used", found[1])
        try:
            return self.run(sql)
        except Overflow as limit:
            self.close()
            return limit.result(self.limits)
        except (Lost, Silent):
            self.close()
            raise

    def _without_answer(self) -> Result:
        """The statement is to blame if the server answers others."""
        try:
            self._open()
        except Unreachable as error:
            return Result(Status.ERROR, str(error), INFRASTRUCTURE)
        message = f"the server did not end it after {self.limits.seconds:g} s"
        return Result(Status.TIMEOUT, message, "seconds")

    def _open(self) -> None:
        """Connect; wait for a server that does not answer, but for one outage only once."""
        end = time.monotonic() + (0 if self.is_down else PATIENCE)
        while not self.is_open:
            try:
                with uncounted():
                    self.forbidden = self.connect()
                self.is_open, self.is_down = True, False
            except Unreachable as error:
                if error.is_final or time.monotonic() + PAUSE > end:
                    self.is_down = not error.is_final
                    raise
                time.sleep(PAUSE)
