"""What the network proxy does to connections: slow them down, end them half, end them at the worst moment."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.neighbours import CALM, LINK, ended, pass_on, receive, silent, street
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.neighbours import Street

#: More than a round trip takes on a busy machine, and less than anybody wants to wait.
_DELAY = 0.4
#: More than the kernel keeps for a connection, bytes.
_MOST = 64_000_000


@pytest.fixture(name="ways")
def _ways() -> Iterator[Street]:
    with street() as made:
        yield made


def _round_trip(client: socket.socket, server: socket.socket) -> float:
    began = time.monotonic()
    pass_on(client, server, b"question")
    pass_on(server, client, b"answer")
    return time.monotonic() - began


@pytest.mark.parametrize(("way", "times"), [("both", 2), ("to", 1), ("from", 1)])
def test_latency_delays_each_way_it_is_on(ways: Street, way: str, times: int) -> None:
    """And is gone when it is healed."""
    ends = ways.ends()
    heal = ways.links.disturb([LINK], way, delay=_DELAY)
    assert times * _DELAY <= _round_trip(*ends)
    heal()
    assert min(_round_trip(*ends) for _ in range(5)) < _DELAY


def test_jitter_never_reorders(ways: Street) -> None:
    """TCP wouldn't either; an end comes last."""
    client, server = ways.ends()
    ways.links.disturb([LINK], delay=0.2, jitter=0.2)
    sent = b""
    for number in range(40):
        piece = b"%04d" % number
        client.sendall(piece)
        sent += piece
        ways.barrier()  # so that each piece is read by itself
    client.close()
    assert sent == receive(server, len(sent))
    assert "fin" == ended(server)


def test_healing_latency_delivers_what_is_on_its_way(ways: Street) -> None:
    """At once."""
    client, server = ways.ends()
    heal = ways.links.disturb([LINK], delay=3600)
    client.sendall(b"late")
    ways.barrier()
    assert silent(server)
    heal()
    assert b"late" == receive(server, 4)


def test_delays_add_up(ways: Street) -> None:
    """Two faults on one link are both in force."""
    ends = ways.ends()
    for _ in range(2):
        ways.links.disturb([LINK], "to", delay=_DELAY)
    assert 2 * _DELAY <= _round_trip(*ends)


def test_a_partition_on_top_of_latency_holds(ways: Street) -> None:
    """What was on its way stays on its way until the partition is healed."""
    client, server = ways.ends()
    ways.links.disturb([LINK], "to", delay=0.05)
    client.sendall(b"one")
    heal = ways.links.disturb([LINK], hold=True)
    client.sendall(b"two")
    slow = ways.links.disturb([CALM], delay=0.1)
    ways.barrier()
    slow()
    assert silent(server)
    heal()
    assert b"onetwo" == receive(server, 6)


def test_bandwidth_is_a_bound_for_all_connections_together(ways: Street) -> None:
    """Two connections take twice as long, and the other way is free."""
    ends = [ways.ends() for _ in range(2)]
    ways.links.disturb([LINK], "to", rate=40_000)
    began = time.monotonic()
    for client, server in ends:
        client.sendall(b"x" * 10_000)
        pass_on(server, client, b"y" * 1_000_000)
    for _, server in ends:
        assert 10_000 == len(receive(server, 10_000))
    assert 0.499 < time.monotonic() - began


def test_bandwidth_healed_is_gone(ways: Street) -> None:
    """What would take hours arrives at once."""
    client, server = ways.ends()
    heal = ways.links.disturb([LINK], rate=10)
    client.sendall(b"z" * 100_000)
    heal()
    assert 100_000 == len(receive(server, 100_000))
    pass_on(server, client, b"z" * 100_000)


def test_a_slow_way_makes_the_sender_wait(ways: Street) -> None:
    """The proxy takes some megabytes at most."""
    client, server = ways.ends()
    heal = ways.links.disturb([LINK], "to", delay=3600)
    sent, before = 0, -1
    client.settimeout(0)
    while before < sent < _MOST:
        ways.barrier()
        before = sent
        with contextlib.suppress(BlockingIOError):
            while sent < _MOST:
                sent += client.send(b"x" * 65_536)
    assert sent < _MOST
    heal()
    assert sent == len(receive(server, sent))


@pytest.mark.parametrize("leaving", ["client", "server"])
def test_half_open_keeps_an_end_to_itself(ways: Street, leaving: str) -> None:
    """The survivor speaks to nobody, and is reset at healing."""
    client, server = ways.ends()
    gone, left = (client, server) if leaving == "client" else (server, client)
    heal = ways.links.disturb([LINK], "to" if leaving == "client" else "from", hush=True)
    gone.close()
    ways.barrier()
    for _ in range(3):
        left.sendall(b"are you there?")
        ways.barrier()
    assert silent(left)
    heal()
    assert "rst" == ended(left)
    wait_until(lambda: ways.links.look()[LINK]["connections"] == 0)


@pytest.mark.parametrize("side", ["client", "server"])
def test_one_side_is_cut_and_the_other_is_not_told(ways: Street, side: str) -> None:
    """Until it is healed; new connections are as ever."""
    client, server = ways.ends()
    lost, left = (client, server) if side == "client" else (server, client)
    heal = ways.links.disturb([LINK], "to" if side == "client" else "from", hush=True)
    assert 1 == ways.links.cut([LINK], side)
    assert "rst" == ended(lost)
    left.sendall(b"into the void")
    pass_on(*ways.ends(), b"new")
    ways.barrier()
    assert silent(left)
    heal()
    assert "rst" == ended(left)


def test_a_survivor_that_ends_too_leaves_nothing(ways: Street) -> None:
    """Before healing as well."""
    client, server = ways.ends()
    heal = ways.links.disturb([LINK], hush=True)
    client.close()
    server.close()
    wait_until(lambda: ways.links.look()[LINK]["connections"] == 0)
    heal()
    ways.barrier()


def test_reset_ends_every_connection_of_its_link(ways: Street) -> None:
    """On both sides; another link's go on, and new ones are welcome."""
    ends = [ways.ends() for _ in range(3)]
    assert 3 == ways.links.reset([LINK])
    assert {"rst"} == {ended(each) for pair in ends for each in pair}
    assert 0 == ways.links.reset([LINK])
    ways.barrier()
    pass_on(*ways.ends(), b"again")


def test_an_answer_is_swallowed_and_its_request_is_not(ways: Street) -> None:
    """One connection is hit, the one whose request holds the bytes; once."""
    (client, server), (other, others) = ways.ends(), ways.ends()
    trap = ways.links.swallow_next_answer([LINK], b"COMMIT")
    assert trap.caught(0, linger=60) is None
    pass_on(other, others, b"SELECT")
    pass_on(others, other, b"rows")
    pass_on(client, server, b"and now COM")  # in two pieces
    pass_on(server, client, b"so?")
    pass_on(client, server, b"MIT")
    server.sendall(b"done")
    assert "rst" == ended(client)
    assert "rst" == ended(server)
    assert LINK == trap.caught(30)
    pass_on(other, others, b"COMMIT")
    pass_on(others, other, b"done")


def test_a_trap_that_nobody_asks_for_does_not_spring(ways: Street) -> None:
    """Neither before it is set nor after its time, nor at an answer that comes after it."""
    client, server = ways.ends()
    trap = ways.links.swallow_next_answer([LINK])
    pass_on(client, server, b"early")
    pass_on(server, client, b"answer")
    assert trap.caught(0, linger=60) is None
    pass_on(client, server, b"in time")
    assert trap.caught(0, linger=0) is None
    pass_on(server, client, b"too late")
    pass_on(client, server, b"more")
    pass_on(server, client, b"answer")
    assert trap.caught(0) is None


def test_a_trap_whose_prey_leaves_waits_for_another(ways: Street) -> None:
    """A connection that ends by itself has not been hit."""
    client, server = ways.ends()
    trap = ways.links.swallow_next_answer([LINK], b"COMMIT")
    assert trap.caught(0, linger=60) is None
    pass_on(client, server, b"COMMIT")
    server.close()
    assert "fin" == ended(client)
    client.close()
    wait_until(lambda: ways.links.look()[LINK]["connections"] == 0)
    client, server = ways.ends()
    pass_on(client, server, b"COMMIT")
    server.sendall(b"done")
    assert "rst" == ended(client)
    assert LINK == trap.caught(30)


@pytest.mark.parametrize("way", ["to", "from"])
@pytest.mark.parametrize("count", [0, 5])
def test_a_connection_is_reset_after_so_many_bytes(ways: Street, way: str, count: int) -> None:
    """No byte more arrives."""
    client, server = ways.ends()
    source, sink = (client, server) if way == "to" else (server, client)
    trap = ways.links.reset_after([LINK], count, way)
    assert trap.caught(0, linger=60) is None
    source.sendall(b"0123456789")
    assert b"01234"[:count] == receive(sink, count)
    assert ("rst", "rst") == (ended(sink), ended(source))
    assert LINK == trap.caught(30)
