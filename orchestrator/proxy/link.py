"""A link: a listener on loopback whose connections lead to one place, through two ways that can be disturbed."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.proxy.connection import Connection, reset
from orchestrator.proxy.way import Way

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.proxy.trap import Trap
    from orchestrator.proxy.way import Disturbance

_BACKLOG: Final = 4096
#: Pause when the system has no more sockets to give, seconds.
_EXHAUSTED: Final = 0.1
_GONE: Final = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class Target(NamedTuple):
    """Where a link leads; it may be down."""

    host: str
    port: int


class Link:
    """Listens from its making on; the port never changes."""

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self.to, self.back = Way(), Way()
        self.connections: set[Connection] = set()
        self.traps: list[Trap] = []
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._passable = asyncio.Event()
        self._passable.set()
        #: Clients that are not connected through yet.
        self._joining: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listener.settimeout(0)
        self.port: int = self._listener.getsockname()[1]
        self._listen()

    def disturb(self, number: int, ways: Iterable[str], disturbance: Disturbance) -> None:
        """Put a disturbance in force on one way or both: "to" the server, "from" it."""
        for way in ways:
            (self.to if way == "to" else self.back).disturb(number, disturbance)
        self._note_passable()

    def heal(self, number: int) -> None:
        """End a disturbance."""
        self.to.heal(number)
        self.back.heal(number)
        self._note_passable()

    def look(self) -> dict[str, int]:
        """Count the connections that lead through, and the clients that wait to be connected."""
        return {"connections": len(self.connections), "joining": len(self._joining)}

    def _note_passable(self) -> None:
        if self.to.held or self.back.held:  # a handshake needs both
            self._passable.clear()
        else:
            self._passable.set()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(_EXHAUSTED, self._listen)
            return
        task = self._loop.create_task(self._join(client))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _join(self, client: socket.socket) -> None:
        """Connect a client through: not before both ways are open, for until then its SYN gets lost."""
        _prepare(client)
        while not self._passable.is_set():
            await self._passable.wait()
            if _gone(client):
                client.close()
                return
        try:
            server = await self._connect()
        except (OSError, UnicodeError):  # the latter where a host's name can't be one
            reset(client)
            return
        Connection(self, client, server)  # it enters itself

    async def _connect(self) -> socket.socket:
        """Connect to the first address of the target that answers."""
        failure: OSError | None = None
        for family, address in await self._addresses():
            server = socket.socket(family, socket.SOCK_STREAM)
            try:
                _prepare(server)
                await self._loop.sock_connect(server, address)
            except OSError as error:
                server.close()
                failure = error
            except BaseException:
                server.close()
                raise
            else:
                return server
        raise failure or OSError("no address")

    async def _addresses(self) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
        host, port = self._target
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            socket.inet_pton(family, host)
        except OSError:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return [(each[0], (str(each[4][0]), port)) for each in found]
        return [(family, (host, port))]


def _prepare(sock: socket.socket) -> None:
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _gone(client: socket.socket) -> bool:
    """Say whether a client has left while it waited; what it had sent was never sent, as its SYN was lost."""
    poll = select.poll()
    poll.register(client, _GONE)
    return bool(poll.poll(0))
