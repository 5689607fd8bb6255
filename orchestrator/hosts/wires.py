"""Cuts between hosts, each with its healing."""

from __future__ import annotations

import threading
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from orchestrator.errors import UsageError
from orchestrator.hosts.layout import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.hosts.host import Host
    from orchestrator.hosts.layout import Layout, Plug

#: A network card that nobody has: what is sent to it reaches no one, and nobody says so.
_NOBODY: Final = "02:00:00:00:de:ad"

#: Steps taken on the switch rather than on a host.
_SWITCH: Final = ""


class How(StrEnum):
    """What a cut is made with."""

    #: Packets vanish; link and routes stay as they were, and nobody is told.
    SILENT = "silent"
    #: The cable is pulled, so the host is cut off that whole network and sees that its link is down.
    LINK = "link"
    #: The way is unreachable, and the sender's system says so at once.
    ROUTE = "route"


class Way(StrEnum):
    """Which packets a cut between a and b stops."""

    BOTH = "both"
    #: From a to b.
    TO = "to"
    #: From b to a.
    FROM = "from"


def check(plugs: Mapping[str, tuple[Plug, ...]], a: str, b: str, how: How, way: Way) -> None:
    """Refuse what can't be cut."""
    for name in (a, b):
        if name not in plugs:
            raise UsageError(f"There is no host {name}: the hosts are {', '.join(plugs)}.")
    if not _shared(plugs, a, b):
        raise UsageError(f"{a} and {b} are on no common network: there is nothing to cut between them.")
    if how is How.LINK and way is not Way.BOTH:
        raise UsageError("A link is down both ways: leave way= out, or take how=silent or how=route.")


def _shared(plugs: Mapping[str, tuple[Plug, ...]], a: str, b: str) -> list[int]:
    """Networks that two different hosts are both on."""
    on = [{each.network for each in plugs[name]} for name in (a, b)]
    return sorted(on[0] & on[1]) if a != b else []


class _Step(NamedTuple):
    """Something that one host's `ip` breaks, and heals."""

    host: str
    kind: Literal["link", "route", "neighbour"]
    #: The switch's port, or the receiver's address.
    target: str
    interface: str = ""

    def broken(self) -> tuple[str, ...]:
        """What breaks it."""
        if self.kind == "link":
            return ("link", "set", self.target, "down")
        if self.kind == "route":
            return ("route", "add", "unreachable", f"{self.target}/32")
        where = (self.target, "dev", self.interface)
        return ("neighbour", "replace", *where, "lladdr", _NOBODY, "nud", "permanent")

    def healed(self) -> tuple[str, ...]:
        """What heals it."""
        if self.kind == "link":
            return ("link", "set", self.target, "up")
        if self.kind == "route":
            return ("route", "delete", "unreachable", f"{self.target}/32")
        return ("neighbour", "delete", self.target, "dev", self.interface)


class Wires:
    """Cuts and heals; cuts may overlap, and each is undone when the last that needs it is healed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._held: Counter[_Step] = Counter()

    def cut(self, a: str, b: str, how: str = How.SILENT, way: str = Way.BOTH) -> Callable[[], None]:
        """Cut two hosts off from each other; calling the answer heals it."""
        check(self._layout.plugs, a, b, How(how), Way(way))
        done: list[_Step] = []

        def heal() -> None:
            while done:
                self._undo(done[-1])
                done.pop()

        try:
            for step in self._steps(a, b, How(how), Way(way)):
                self._do(step)
                done.append(step)
        except BaseException:
            heal()
            raise
        return heal

    def _steps(self, a: str, b: str, how: How, way: Way) -> list[_Step]:
        networks = _shared(self._layout.plugs, a, b)
        if how is How.LINK:
            # The cable of who is served, so that the others keep theirs.
            pulled = b if a in NETWORKS else a
            return [_Step(_SWITCH, "link", self._layout.plug(pulled, each).port) for each in networks]
        pairs = {Way.BOTH: [(a, b), (b, a)], Way.TO: [(a, b)], Way.FROM: [(b, a)]}[way]
        return [self._one_way(*pair, each, how) for pair in pairs for each in networks]

    def _one_way(self, sender: str, receiver: str, network: int, how: How) -> _Step:
        address = self._layout.plug(receiver, network).address
        if how is How.ROUTE:
            return _Step(sender, "route", address)
        return _Step(sender, "neighbour", address, self._layout.plug(sender, network).interface)

    def _do(self, step: _Step) -> None:
        with self._lock:
            if not self._held[step]:
                self._host(step).tell(*step.broken())
            self._held[step] += 1

    def _undo(self, step: _Step) -> None:
        with self._lock:
            if self._held[step] == 1:
                self._host(step).tell(*step.healed())
            self._held[step] -= 1

    def _host(self, step: _Step) -> Host:
        return self._layout.switch if step.host == _SWITCH else self._layout.hosts[step.host]
