"""What tests of the network proxy need: two links, and both ends of a connection through one in the test's hands."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.faults.network import Links

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The link that is disturbed, and one beside it that is not.
LINK, CALM = "node1-db", "node2-db"
#: Seconds that anything awaited may take.
PATIENCE = 30.0


class Street:
    """A proxy with two links to one listener."""

    def __init__(self, links: Links, listener: socket.socket, stack: contextlib.ExitStack) -> None:
        self.links, self.listener, self._stack = links, listener, stack
        self._calm = self.ends(CALM)

    def port(self, link: str = LINK) -> int:
        """The port of a link."""
        port = urlsplit(self.links.url(link.partition("-")[0], "db") or "").port
        assert port is not None
        return port

    def client(self, link: str = LINK) -> socket.socket:
        """A client, connected as far as the proxy."""
        return self._kept(socket.create_connection(("127.0.0.1", self.port(link)), PATIENCE))

    def server(self) -> socket.socket:
        """The server's end of the connection that came next."""
        return self._kept(self.listener.accept()[0])

    def ends(self, link: str = LINK) -> tuple[socket.socket, socket.socket]:
        """Both ends of a new connection, which passes bytes."""
        client = self.client(link)
        client.sendall(b"?")
        server = self.server()
        pass_on(client, server, b"", b"?")
        return client, server

    def barrier(self) -> None:
        """Have the proxy do all that it can do by now: what it was told before goes before what it is told later."""
        client, server = self._calm
        for _ in range(3):
            pass_on(client, server, b"ping")
            pass_on(server, client, b"pong")

    def _kept(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stack.callback(sock.close)
        return sock


@contextlib.contextmanager
def street() -> Iterator[Street]:
    """Two links to a listener, for as long as the block runs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(PATIENCE)
        url = f"postgresql://somebody:secret@127.0.0.1:{listener.getsockname()[1]}/shop"
        links = stack.enter_context(Links({LINK, CALM}, {"db": url}))
        yield Street(links, listener, stack)


def pass_on(source: socket.socket, sink: socket.socket, data: bytes, expected: bytes | None = None) -> None:
    """Bytes sent at one end arrive at the other."""
    source.sendall(data)
    assert (data if expected is None else expected) == receive(sink, len(data) or len(expected or b""))


def receive(sink: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer where the connection ends first."""
    found = bytearray()
    while len(found) < count and (piece := sink.recv(count - len(found))):
        found += piece
    return bytes(found)


def silent(sink: socket.socket) -> bool:
    """Whether nothing has arrived: no byte, no end."""
    return not select.select([sink], [], [], 0)[0]


def ended(sink: socket.socket) -> str:
    """How a connection ends that has nothing more to say."""
    try:
        return "fin" if sink.recv(1) == b"" else "data"
    except ConnectionResetError:
        return "rst"


def reset(sock: socket.socket) -> None:
    """Leave by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.close()
