"""A connection through the proxy: two sockets, a pipe each way, and the traps that may end it."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final, Literal

from orchestrator.proxy.pipe import Pipe

if TYPE_CHECKING:
    from orchestrator.proxy.link import Link
    from orchestrator.proxy.trap import Trap

#: Closing with this set sends RST at once and drops what is unsent.
_LINGER: Final = struct.pack("ii", 1, 0)


def reset(sock: socket.socket) -> None:
    """Close a socket by RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    sock.close()


class Connection:
    """A client and a server that take each other for neighbours."""

    def __init__(self, link: Link, client: socket.socket, server: socket.socket) -> None:
        self.link = link
        self.closed = False
        self._client, self._server = client, server
        self.to = Pipe(self, client, server, link.to)
        self.back = Pipe(self, server, client, link.back)
        #: The trap that waits for this connection's answer or for more of its bytes, and how many pass yet.
        self._caught: Trap | None = None
        self._left = 0
        link.connections.add(self)
        self.to.settle()
        if not self.closed:
            self.back.settle()

    def spring(self, pipe: Pipe, data: bytes) -> None:
        """Pass bytes on, unless a trap is to end the connection at them."""
        if self._caught is None:
            self._walk_into(pipe, data)
        trap = self._caught
        if trap is None or not trap.armed():
            self._caught = None
            pipe.carry(data)
        elif trap.after is None:
            if pipe is self.to:
                pipe.carry(data)
            else:
                self._strike(trap)
        elif pipe is not self._pipe(trap):
            pipe.carry(data)
        else:
            passing, self._left = data[: self._left], self._left - len(data)
            if passing:
                pipe.carry(passing)
            if self._left < 0:
                self._strike(trap)

    def _walk_into(self, pipe: Pipe, data: bytes) -> None:
        """See whether bytes are what a trap waits for; a trap catches one connection at a time."""
        for trap in self.link.traps:
            if trap.armed() and trap.holder is None and pipe is self._pipe(trap) and trap.match in pipe.tail + data:
                self._caught, self._left, trap.holder = trap, trap.after or 0, self
                break
        longest = max(len(trap.match) for trap in self.link.traps)
        pipe.tail = (pipe.tail + data)[1 - longest :] if longest > 1 else b""

    def _pipe(self, trap: Trap) -> Pipe:
        return self.to if trap.way == "to" else self.back

    def _strike(self, trap: Trap) -> None:
        trap.spring(self.link.name)
        self.abort()

    def lost_sink(self, pipe: Pipe) -> None:
        """Have a pipe's sink, which has turned out to be gone, end as the other pipe's source."""
        other = self.back if pipe is self.to else self.to
        other.broken = True
        if other.done and not other.swallowed:
            self.abort()

    def cut(self, side: Literal["client", "server"]) -> None:
        """Reset one side without a word to the other; the way between must be hushed."""
        at_client = side == "client"
        self.to.sever(source=at_client)
        self.back.sever(source=not at_client)
        reset(self._client if at_client else self._server)

    def close_if_done(self) -> None:
        """Close both sockets once nothing can pass either way."""
        if self.to.done and self.back.done and not self.closed:
            self._leave()
            self._client.close()
            self._server.close()

    def abort(self) -> None:
        """Reset both sides."""
        if not self.closed:
            self._leave()
            reset(self._client)
            reset(self._server)

    def _leave(self) -> None:
        self.closed = True
        for pipe in (self.to, self.back):
            pipe.stop()
            pipe.way.pipes.discard(pipe)
        self.link.connections.discard(self)
        if self._caught is not None and self._caught.holder is self:
            self._caught.holder = None
