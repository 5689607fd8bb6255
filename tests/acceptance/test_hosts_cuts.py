"""Hosts laid out on this machine: who they are, that cuts cut and heal, and that nothing is left of them."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import UsageError
from orchestrator.hosts.host import PATH
from orchestrator.hosts.layout import laid_out
from orchestrator.hosts.remote import Remote, serving
from orchestrator.hosts.wires import Wires
from tests.hosting import DATAGRAM, ECHO, HOLD, REACH, Belongings, interfaces, needs_hosts, python
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.hosts.host import Program
    from orchestrator.hosts.layout import Layout

pytestmark = needs_hosts

#: Every kind of cut.
CUTS = [
    ("silent", "both"),
    ("silent", "to"),
    ("silent", "from"),
    ("link", "both"),
    ("route", "both"),
    ("route", "to"),
    ("route", "from"),
]


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    """Two worker hosts, a database host and a broker host; the last two echo what they hear."""
    with laid_out(2) as laid:
        for name in ("database", "broker"):
            _start(laid, name, name, python(ECHO))
            wait_until(lambda name=name: "listening" in _said(laid, name))  # type: ignore[misc]  # bound at once
        yield laid


@pytest.fixture
def wires(layout: Layout) -> Wires:
    """The layout's wires, nothing cut."""
    return Wires(layout)


def test_each_host_has_its_name(layout: Layout) -> None:
    """A host's own name is the one by which the others know it."""
    for name, host in layout.hosts.items():
        assert (0, name) == host.ask("hostname")


def test_hosts_know_each_other_as_compose_names_them(layout: Layout) -> None:
    """Database and broker are reached by the names that docker-compose.yml gives them."""
    assert ["x", "x"] == [_reach(layout, "worker1", name) for name in ("postgres", "redis")]


def test_the_machine_gets_no_interface(layout: Layout) -> None:
    """Bridges and cables are in the hosts' namespaces, and none is in the machine's own."""
    _, said = layout.switch.ask("ip", "-brief", "link")
    names = {line.split("@")[0].split()[0] for line in said.splitlines()}
    assert {"bridge1", "bridge2"} <= names
    assert set() == (names - {"lo"}) & {name for name in interfaces() if name.startswith(("bridge", "port"))}


@pytest.mark.parametrize(("how", "way"), CUTS)
def test_a_cut_cuts_two_hosts_and_no_other(layout: Layout, wires: Wires, how: str, way: str) -> None:
    """While it is cut a worker can't connect to the database; others can, and after healing it can again."""
    heal = wires.cut("worker1", "database", how, way)
    try:
        assert _reach(layout, "worker1", "database") in ("TimeoutError", "OSError")
        assert ["x", "x"] == [_reach(layout, "worker1", "broker"), _reach(layout, "worker2", "database")]
    finally:
        heal()
    wait_until(lambda: _reach(layout, "worker1", "database") == "x")


@pytest.mark.parametrize(("how", "way"), CUTS)
def test_a_connection_stalls_and_goes_on(layout: Layout, wires: Wires, how: str, way: str) -> None:
    """An established connection hears nothing while it is cut, and goes on once it is healed."""
    log = f"hold-{how}-{way}"
    holding = _start(layout, "worker2", log, python(HOLD, "broker"))
    try:
        wait_until(lambda: _said(layout, log) == ["goes on"])
        heal = wires.cut("worker2", "broker", how, way)
        try:
            wait_until(lambda: _said(layout, log)[-1] == "stalls")
        finally:
            heal()
        wait_until(lambda: _said(layout, log)[-1] == "goes on")
    finally:
        holding.signal(9)
        assert holding.wait(30) is not None


@pytest.mark.parametrize("how", ["silent", "route"])
def test_one_way_lets_the_other_way_through(layout: Layout, wires: Wires, how: str) -> None:
    """Cut from the database, a worker's datagram arrives there unanswered; cut to it, none arrives."""
    for way, arrives in (("to", False), ("from", True)):
        word = f"{how}-{way}"
        heal = wires.cut("worker1", "database", how, way)
        try:
            unanswered = _ask(layout, "worker1", DATAGRAM, "database", word)
        finally:
            heal()
        assert unanswered in ("TimeoutError", "OSError")
        # A later one that was answered: what was sent before and is not there never arrived.
        assert f"after-{word}" == _ask(layout, "worker1", DATAGRAM, "database", f"after-{word}")
        assert arrives == (word in _said(layout, "database"))


def test_overlapping_cuts_heal_one_by_one(layout: Layout, wires: Wires) -> None:
    """What two cuts stop stays stopped until both are healed."""
    first, second = wires.cut("worker1", "database"), wires.cut("worker1", "database", way="to")
    try:
        first()
        assert "TimeoutError" == _reach(layout, "worker1", "database")
    finally:
        second()
    wait_until(lambda: _reach(layout, "worker1", "database") == "x")


def test_a_run_cuts_through_the_socket(layout: Layout, wires: Wires) -> None:
    """A run on a host has its layout's owner cut and heal; a cut that can't be made is refused in a sentence."""
    path = layout.folder / "through-the-socket"
    with serving(wires, path):
        remote = Remote(path)
        heal = remote.strike("partition", "worker1", "database", {"how": "route", "way": "both"})
        assert "OSError" == _reach(layout, "worker1", "database")
        heal()
        wait_until(lambda: _reach(layout, "worker1", "database") == "x")
        with pytest.raises(Exception, match="There is no host node1"):
            remote.strike("partition", "node1", "database", {"how": "route", "way": "both"})


def test_what_a_run_cut_is_healed_when_it_is_gone(layout: Layout, wires: Wires) -> None:
    """A cut lasts no longer than the connection that asked for it."""
    path = layout.folder / "gone"
    with serving(wires, path):
        with socket.socket(socket.AF_UNIX) as run:
            run.connect(str(path))
            asked = {"kind": "partition", "a": "worker1", "b": "database", "how": "route", "way": "both"}
            run.sendall(json.dumps(asked).encode() + b"\n")
            assert b"{}\n" == run.recv(99)
            assert "OSError" == _reach(layout, "worker1", "database")
        wait_until(lambda: _reach(layout, "worker1", "database") == "x")


@pytest.mark.parametrize(
    ("a", "b", "how", "way", "said"),
    [
        ("node1", "database", "silent", "both", "There is no host node1"),
        ("database", "broker", "silent", "both", "on no common network"),
        ("worker1", "database", "link", "to", "down both ways"),
    ],
)
def test_what_can_not_be_cut_is_refused(wires: Wires, a: str, b: str, how: str, way: str, said: str) -> None:
    """A cut that makes no sense is refused in a sentence."""
    with pytest.raises(UsageError, match=said):
        wires.cut(a, b, how, way)


def test_nothing_is_left_of_a_layout() -> None:
    """Once the block is over, by an error too, no process, namespace, interface or folder of the layout exists."""
    before, belongings = interfaces(), Belongings(os.getpid())
    with pytest.raises(ZeroDivisionError):
        _fail(belongings)
    wait_until(lambda: belongings.left() == [])
    assert (5, 1) == (len(belongings.namespaces), len(belongings.folders))
    assert before == interfaces()


def _fail(belongings: Belongings) -> None:
    """Lay out a switch and four hosts, run something, and meet an error."""
    with laid_out(1) as laid:
        belongings.part = str(laid.folder)
        _start(laid, "worker1", "left", python(ECHO))
        wait_until(lambda: any(ECHO in line for line in belongings.look()))
        raise ZeroDivisionError


def _start(layout: Layout, host: str, log: str, argv: list[str]) -> Program:
    with _log(layout, log).open("wb") as file:
        return layout.hosts[host].start(argv, {"PATH": PATH}, os.sep, file.fileno())


def _said(layout: Layout, log: str) -> list[str]:
    return _log(layout, log).read_text().splitlines() or [""]


def _log(layout: Layout, name: str) -> Path:
    return layout.folder / f"{name}.test.log"


def _reach(layout: Layout, host: str, target: str) -> str:
    return _ask(layout, host, REACH, target)


def _ask(layout: Layout, host: str, source: str, *arguments: str) -> str:
    code, said = layout.hosts[host].ask(*python(source, *arguments))
    assert 0 == code, said
    return said
