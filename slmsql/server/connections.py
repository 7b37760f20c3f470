"""Slow clients: each connection has a deadline, and one client can hold only a few.

A connection waits for its client until the request is complete, and while the client does not read
the response. A browser or a proxy is done in milliseconds. A client that sends a byte a minute is
cut off, so that any number of such clients leave the server free for others.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

DEADLINE = 10.0  # seconds to send a whole request, or to read on in a response
MOST_PER_CLIENT = 64  # waiting connections of one address; the oldest makes room for the next
MOST = 512  # waiting connections of all clients


class WaitingConnections:
    """The connections that wait for their client, the oldest first."""

    def __init__(self) -> None:
        self._deadlines: dict[Connection, asyncio.TimerHandle] = {}

    def add(self, connection: "Connection") -> None:
        """Start the deadline of a connection; close the oldest ones if there are too many."""
        if connection in self._deadlines:
            return
        same_client = [other for other in self._deadlines if other.host == connection.host]
        if len(same_client) >= MOST_PER_CLIENT:
            self._close(same_client[0])
        if len(self._deadlines) >= MOST:
            self._close(next(iter(self._deadlines)))
        timer = connection.loop.call_later(DEADLINE, self._close, connection)
        self._deadlines[connection] = timer

    def remove(self, connection: "Connection") -> None:
        """End the deadline of a connection, if it has one."""
        if timer := self._deadlines.pop(connection, None):
            timer.cancel()

    def _close(self, connection: "Connection") -> None:
        self.remove(connection)
        connection.transport.abort()


class Connection(H11Protocol):
    """uvicorn's HTTP connection with a deadline for its client."""

    waiting: WaitingConnections

    @property
    def host(self) -> str:
        """The client's address."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._update()

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._update()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._update()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._update()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._update()

    def _update(self) -> None:
        is_request_incomplete = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if self.transport.is_closing():
            self.waiting.remove(self)
        elif is_request_incomplete or self.flow.write_paused:
            self.waiting.add(self)
        else:
            self.waiting.remove(self)


def connection_class() -> type[Connection]:
    """A class of connections that count together, for one server."""

    class ServerConnection(Connection):
        waiting = WaitingConnections()

    return ServerConnection
