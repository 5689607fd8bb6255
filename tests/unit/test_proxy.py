"""The network proxy passes everything on, holds everything back in a partition, and ends with its owner."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from orchestrator.errors import ServiceError
from orchestrator.faults.network import Links
from tests.compose_file import ROOT
from tests.neighbours import CALM, LINK, ended, pass_on, receive, reset, silent, street
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.neighbours import Street

#: Starts a proxy, names its process and waits.
_OWNER = "from orchestrator.faults.proxy import Proxy; p = Proxy(); print(p.birth.pid, flush=True); input()"


@pytest.fixture(name="ways")
def _ways() -> Iterator[Street]:
    with street() as made:
        yield made


def test_bytes_pass_both_ways_unchanged(ways: Street) -> None:
    """More of them than any buffer holds."""
    client, server = ways.ends()
    for source, sink in ((client, server), (server, client)):
        data = os.urandom(8_000_000)
        sending = threading.Thread(target=source.sendall, args=(data,))
        sending.start()
        received = receive(sink, len(data))
        sending.join()
        assert data == received


def test_an_end_is_told_and_the_other_way_stays_open(ways: Street) -> None:
    """A client that has said all still gets its answer; both gone, nothing is left."""
    client, server = ways.ends()
    client.shutdown(socket.SHUT_WR)
    assert "fin" == ended(server)
    pass_on(server, client, b"answer")
    server.close()
    assert "fin" == ended(client)
    wait_until(lambda: ways.links.look()[LINK] == {"connections": 0, "joining": 0})


@pytest.mark.parametrize("first", ["client", "server"])
def test_a_reset_is_told_as_one(ways: Street, first: str) -> None:
    """Not as an orderly end."""
    client, server = ways.ends()
    gone, left = (client, server) if first == "client" else (server, client)
    reset(gone)
    assert "rst" == ended(left)


def test_who_speaks_to_somebody_gone_is_reset(ways: Street) -> None:
    """An end that was told is only half of it: the server has closed both ways."""
    client, server = ways.ends()
    server.close()
    assert "fin" == ended(client)
    assert "rst" == _answer_to_more(ways, client)


@pytest.mark.parametrize(("leave", "how"), [(socket.socket.close, {"delay": 3600}), (reset, {"hold": True})])
def test_an_end_on_its_way_becomes_a_reset(
    ways: Street, leave: Callable[[socket.socket], None], how: dict[str, float]
) -> None:
    """When it is found meanwhile that nobody listens there any more."""
    client, server = ways.ends()
    heal = ways.links.disturb([LINK], "from", **how)
    leave(server)
    ways.barrier()
    for _ in range(3):
        client.sendall(b"more")
        ways.barrier()
    assert silent(client)
    heal()
    assert "rst" == ended(client)


def _answer_to_more(ways: Street, client: socket.socket) -> str:
    with contextlib.suppress(ConnectionError):
        for _ in range(3):
            client.sendall(b"more")
            ways.barrier()
        return ended(client)
    return "rst"


def test_a_client_is_refused_while_the_target_is_down(ways: Street) -> None:
    """By reset; and served again once it is up."""
    client, server = ways.ends()
    address = ways.listener.getsockname()
    ways.listener.close()
    with pytest.raises(ConnectionResetError):  # in connecting already, where the reset is quicker
        ways.client().recv(1)
    pass_on(client, server, b"still here")
    with socket.create_server(address) as again:
        again.settimeout(30)
        ways.listener = again
        pass_on(*ways.ends(), b"back")


@pytest.mark.parametrize("way", ["both", "to", "from"])
def test_a_partition_holds_its_way_and_loses_nothing(ways: Street, way: str) -> None:
    """What was sent arrives after healing, in order; the other way goes on."""
    client, server = ways.ends()
    heal = ways.links.disturb([LINK], way, hold=True)
    sent = b"".join(b"%06d" % number for number in range(20_000))
    client.sendall(sent)
    server.sendall(sent)
    ways.barrier()
    assert (way != "from", way != "to") == (silent(server), silent(client))
    heal()
    assert (sent, sent) == (receive(server, len(sent)), receive(client, len(sent)))


@pytest.mark.parametrize(("leave", "expected"), [(socket.socket.close, "fin"), (reset, "rst")])
def test_no_end_crosses_a_partition(ways: Street, leave: Callable[[socket.socket], None], expected: str) -> None:
    """It is told after healing, behind what was sent before it."""
    client, server = ways.ends()
    heal = ways.links.disturb([LINK], hold=True)
    client.sendall(b"last words")
    leave(client)
    ways.barrier()
    assert silent(server)
    heal()
    assert b"last words" == receive(server, 10)
    assert expected == ended(server)


@pytest.mark.parametrize("way", ["both", "to", "from"])
def test_nobody_connects_through_a_partition(ways: Street, way: str) -> None:
    """Who still waits when it is healed is served; who has left never reaches the server."""
    heal = ways.links.disturb([LINK], way, hold=True)
    waiting, leaving = ways.client(), ways.client()
    waiting.sendall(b"hello")
    leaving.sendall(b"pop")
    leaving.close()
    wait_until(lambda: ways.links.look()[LINK] == {"connections": 0, "joining": 2})
    assert silent(ways.listener)
    assert silent(waiting)
    heal()
    server = ways.server()
    assert b"hello" == receive(server, 5)
    pass_on(server, waiting, b"welcome")
    wait_until(lambda: ways.links.look()[LINK] == {"connections": 1, "joining": 0})
    assert silent(ways.listener)


def test_healing_one_of_two_partitions_leaves_the_other(ways: Street) -> None:
    """Each is in force until its own healing, however often that is asked for."""
    client, server = ways.ends()
    first, second = ways.links.disturb([LINK], hold=True), ways.links.disturb([LINK], "to", hold=True)
    first()
    first()
    client.sendall(b"held")
    pass_on(server, client, b"free")
    ways.barrier()
    assert silent(server)
    second()
    assert b"held" == receive(server, 4)


def test_a_sender_waits_when_a_partition_lasts(ways: Street) -> None:
    """The proxy keeps nothing of its own: the sender's window closes, and opens again."""
    client, server = ways.ends()
    heal = ways.links.disturb([LINK], hold=True)
    client.settimeout(0)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += client.send(b"x" * 65_536)
    heal()
    assert sent == len(receive(server, sent))


def test_waiting_costs_nothing(ways: Street) -> None:
    """Held connections with bytes and ends on both sides, one half-open: the proxy hardly runs."""
    ends = [ways.ends() for _ in range(4)]
    slow = ways.links.disturb([CALM], delay=0.1)
    ways.links.disturb([LINK], "to", hold=True)
    ways.links.disturb([LINK], "from", hush=True)
    ends[0][0].sendall(b"x")
    ends[0][0].close()
    reset(ends[1][0])
    ends[2][1].close()
    reset(ends[3][1])
    process = psutil.Process(ways.links.birth.pid)
    before = process.cpu_times()
    ways.barrier()  # 0.6 s, by the delay
    after = process.cpu_times()
    assert 0.3 > after.user + after.system - before.user - before.system
    slow()


def test_a_proxy_does_not_outlive_its_owner() -> None:
    """Not even one that is killed."""
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        proxy = psutil.Process(int(owner.stdout.readline()))
        assert proxy.is_running()
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not proxy.is_running() or proxy.status() == psutil.STATUS_ZOMBIE)


def test_an_interrupt_does_not_reach_it(ways: Street) -> None:
    """It stands in a session of its own, and ends when its owner says so."""
    pid = ways.links.birth.pid
    assert (pid, pid) == (os.getsid(pid), os.getpgid(pid))
    os.kill(pid, signal.SIGINT)
    pass_on(*ways.ends(), b"alive")


def test_a_proxy_that_has_died_is_told_of_in_one_sentence(ways: Street) -> None:
    """Not by a traceback."""
    os.kill(ways.links.birth.pid, signal.SIGKILL)
    with pytest.raises(ServiceError, match=r"\AThe network proxy has ended[^\n]+\Z"):
        ways.links.disturb([LINK], hold=True)


def test_closing_leaves_no_process_and_no_port() -> None:
    """Both end with the links."""
    with Links({LINK}, {"db": "postgresql://127.0.0.1:1/shop"}) as links:
        port = int((links.url("node1", "db") or "").partition("127.0.0.1:")[2].partition("/")[0])
        with contextlib.suppress(ConnectionResetError):  # that it is not refused is all that matters
            socket.create_connection(("127.0.0.1", port), 30).close()
    assert not links.birth.lives()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 30)
