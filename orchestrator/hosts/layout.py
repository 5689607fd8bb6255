"""Lays hosts out: who they are, which networks they are on, and the cables and bridges between them.

There are two networks, one that the database serves and one that the broker serves; workers and the orchestrator are on
both, so that the cable to either can be pulled.  The bridges live on a switch, a network namespace of its own: nothing
is added to the machine's own network.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import UsageError
from orchestrator.hosts.host import PATH, Host
from orchestrator.services import folder as folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORCHESTRATOR: Final = "orchestrator"
DATABASE: Final = "database"
BROKER: Final = "broker"

#: Who serves which network; its number is in the addresses, and in the names of interfaces and bridges.
NETWORKS: Final = {DATABASE: 1, BROKER: 2}

#: What docker-compose.yml calls the two, so that its addresses hold.
_ALSO: Final = {DATABASE: "postgres", BROKER: "redis"}

_SERVER, _ORCHESTRATOR, _FIRST_WORKER = 2, 10, 101


class Plug(msgspec.Struct, frozen=True):
    """Where a host is plugged in."""

    network: int
    address: str
    #: Its interface, and the switch's port at the other end of the cable.
    interface: str
    port: str


class Layout:
    """Hosts that are up and reach each other."""

    def __init__(self, folder: Path, switch: Host, hosts: dict[str, Host], plugs: dict[str, tuple[Plug, ...]]) -> None:
        #: Private, and removed at the end, even where the owner is killed.
        self.folder = folder
        self.switch = switch
        self.hosts = hosts
        self.plugs = plugs

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the worker hosts."""
        return tuple(name for name in self.hosts if name.startswith("worker"))

    def plug(self, name: str, network: int) -> Plug:
        """Where a host is plugged into a network that it is on."""
        return next(each for each in self.plugs[name] if each.network == network)


def require() -> None:
    """Refuse, in one sentence, where hosts can't be laid out."""
    if not sys.platform.startswith("linux"):
        raise UsageError("Hosts are network namespaces, which only Linux has; docker-compose.yml runs elsewhere.")
    if os.geteuid() != 0:
        raise UsageError("Hosts need root: run `rowrace hosts` as root, or use docker-compose.yml.")
    if shutil.which("ip", path=PATH) is None:
        raise UsageError("Hosts need the program `ip`: install the package iproute2.")


@contextmanager
def laid_out(workers: int) -> Iterator[Layout]:
    """Lay hosts out for a block: orchestrator, database, broker and so many worker hosts; nothing is left of them."""
    require()
    folders.clear_stale()
    plugs = planned(workers)
    with ExitStack() as stack:
        folder = folders.create()
        stack.callback(folders.remove, folder)
        book = folder / "hosts"
        book.write_text(_book(plugs), encoding="ascii")
        switch = _host(stack, "switch", folder=folder)
        # All of them come up side by side.
        hosts = {name: _host(stack, name, hosts=book) for name in plugs}
        switch.ready()
        for network in NETWORKS.values():
            switch.tell("link", "add", _bridge(network), "type", "bridge")
            switch.tell("link", "set", _bridge(network), "up")
        for name, host in hosts.items():
            _connect(switch, host, plugs[name])
            _own_folder(folder, name)
        yield Layout(folder, switch, hosts, plugs)


def planned(workers: int) -> dict[str, tuple[Plug, ...]]:
    """Who will be plugged in where."""
    names = [ORCHESTRATOR, DATABASE, BROKER, *(f"worker{number}" for number in range(1, workers + 1))]
    return {name: _plugs(name, place) for place, name in enumerate(names)}


def address(name: str, served_by: str) -> str:
    """A host's address on the network that the database or the broker serves."""
    return f"10.77.{NETWORKS[served_by]}.{_last(name)}"


def _host(stack: ExitStack, name: str, *, hosts: Path | None = None, folder: Path | None = None) -> Host:
    host = Host(name, hosts=hosts, folder=folder)
    stack.callback(host.close)
    return host


def _own_folder(folder: Path, name: str) -> None:
    (folder / name).mkdir(mode=0o700)


def _plugs(name: str, place: int) -> tuple[Plug, ...]:
    served = (name,) if name in NETWORKS else tuple(NETWORKS)
    return tuple(
        Plug(
            network=NETWORKS[each],
            address=address(name, each),
            interface=f"eth{NETWORKS[each] - 1}",
            port=f"port{place}.{NETWORKS[each]}",
        )
        for each in served
    )


def _last(name: str) -> int:
    if name in NETWORKS:
        return _SERVER
    return _ORCHESTRATOR if name == ORCHESTRATOR else _FIRST_WORKER - 1 + int(name.removeprefix("worker"))


def _book(plugs: dict[str, tuple[Plug, ...]]) -> str:
    """The hosts' common /etc/hosts; who is on both networks is called by the address on the first."""
    lines = [f"{each[0].address} {name} {_ALSO.get(name, '')}".rstrip() for name, each in plugs.items()]
    return "\n".join(("127.0.0.1 localhost", *lines, ""))


def _bridge(network: int) -> str:
    return f"bridge{network}"


def _connect(switch: Host, host: Host, plugs: tuple[Plug, ...]) -> None:
    """Give a host its cables and addresses."""
    number = host.ready()
    host.tell("link", "set", "lo", "up")
    for each in plugs:
        peer = ("peer", "name", each.interface, "netns", str(number))
        switch.tell("link", "add", each.port, "type", "veth", *peer)
        switch.tell("link", "set", each.port, "master", _bridge(each.network), "up")
        host.tell("address", "add", f"{each.address}/24", "dev", each.interface)
        host.tell("link", "set", each.interface, "up")
