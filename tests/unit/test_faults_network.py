"""Network faults as a plan names them: what is refused, which links they need, and which URLs lead through these."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.errors import OrchestratorError, ServiceError, UsageError
from orchestrator.faults import proxy
from orchestrator.faults.model import Reach
from orchestrator.faults.network import FAULTS, Links, links_needed
from orchestrator.faults.plan import parse
from orchestrator.faults.proxied import target, through
from tests.neighbours import LINK, ended, pass_on, receive, silent, street
from tests.striking import Spawned, Strangers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.faults.model import Fault, Network, Struck
    from tests.neighbours import Street

NODES = ("node1", "node2")


@pytest.fixture(name="ways")
def _ways() -> Iterator[Street]:
    with street() as made:
        yield made


def _reach(network: Network | None, nodes: Any = None) -> Reach:  # noqa: ANN401 - a stand-in for a fleet
    fleet: Any = nodes or Spawned()
    return Reach(
        nodes=fleet,
        servers=None,
        database_url="",
        broker_url="",
        schema="rowrace_x_1",
        table="users",
        queue="rowrace.x",
        network=network,
        random=random.Random(1),  # noqa: S311 - as above
    )


def _fault(entry: str, network: Network | None, nodes: Any = None) -> Fault:  # noqa: ANN401 - as above
    (planned,) = parse([entry])
    build = FAULTS[planned.name].build
    assert build is not None
    return build(planned, _reach(network, nodes))


def _struck(entry: str, ways: Street) -> Struck:
    done = _fault(entry, ways.links).strike()
    assert done is not None
    return done


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("partition", "must be told where"),
        ("partition:node1", "node1 is no link"),
        ("partition:db-node1", "db-node1 is no link"),
        ("partition:node1-node2", "node1-node2 is no link"),
        ("partition:node0-db", "node0-db is no link"),
        ("partition:node1-db:way=out", "way=out is none of both, to, from"),
        ("partition:node1-db:rate=1", "has no option 'rate'"),
        ("latency:node1-db:delay=fast", "delay=fast is no duration"),
        ("latency:node1-db:delay=-1s", "is negative"),
        ("latency:node1-db:delay=10ms:jitter=20ms", "jitter is more than delay"),
        ("bandwidth:node1-db:rate=0", "rate=0 is no bandwidth"),
        ("bandwidth:node1-db:rate=0k", "rate=0k is no bandwidth"),
        ("bandwidth:node1-db:rate=1g", "rate=1g is no bandwidth"),
        ("half-open:node1-db:side=left", "side=left is none of server, client"),
        ("reset:node1-db:for=1s", "leaves nothing behind"),
        ("reset:node1-db:way=to", "need after="),
        ("reset:node1-db:match=COMMIT", "need after="),
        ("reset:node1-db:after=-1", "no whole number"),
        ("reset-answer:node1-db:for=1s", "leaves nothing behind"),
    ],
)
def test_nonsense_is_refused_before_anything_starts(entry: str, reason: str) -> None:
    """In one sentence that names the entry."""
    with pytest.raises(UsageError, match=reason) as refused:
        parse([entry])
    assert "\n" not in str(refused.value)
    assert f"«{entry}»" in str(refused.value)


def test_a_plan_needs_the_links_that_it_strikes() -> None:
    """A star is every node, and not the orchestrator; other faults need none."""
    plan = parse(["kill-child", "partition:*-db:node2-broker", "reset:orchestrator-db"])
    assert {"node1-db", "node2-db", "node2-broker", "orchestrator-db"} == links_needed(plan, NODES)
    assert set() == links_needed(parse(["kill-child"]), NODES)


def test_a_node_that_is_not_there_has_no_link() -> None:
    """Neither when links are asked for nor when the fault is made."""
    with pytest.raises(UsageError, match="there is no node3, from node1 to node2"):
        links_needed(parse(["partition:node3-db"]), NODES)
    with pytest.raises(UsageError, match="there is no node2, only node1"):
        links_needed(parse(["partition:node2-db"]), NODES[:1])
    with pytest.raises(UsageError, match="there is no node3"):
        _fault("partition:node3-db", None)


def test_links_that_are_not_ours_are_refused(ways: Street) -> None:
    """No proxies, external workers, a link that leads through none."""
    with pytest.raises(ServiceError, match="needs the proxies"):
        _fault("partition:node1-db", None)
    with pytest.raises(ServiceError, match="external workers"):
        _fault("partition:*-db", ways.links, Strangers())
    with pytest.raises(ServiceError, match="orchestrator-broker does not lead through a proxy"):
        _fault("partition:orchestrator-broker", ways.links, Strangers())


def test_a_partition_struck_is_in_force_until_it_is_healed(ways: Street) -> None:
    """And says what it did."""
    client, server = ways.ends()
    done = _struck("partition:*-db:way=to", ways)
    assert "node1-db, node2-db: nothing passes to the service" == done.detail
    client.sendall(b"held")
    pass_on(server, client, b"free")
    assert silent(server)
    assert done.heal is not None
    done.heal()
    assert b"held" == receive(server, 4)


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ("latency:node1-db", "node1-db: 50 ms longer both ways"),
        (
            "latency:node1-db:delay=20ms:jitter=5ms:way=from",
            "node1-db: 20 ms longer from the service, give or take 5 ms",
        ),
        ("bandwidth:node1-db", "node1-db: 64000 bytes a second both ways"),
        ("bandwidth:node1-db:rate=2M:way=to", "node1-db: 2000000 bytes a second to the service"),
        ("half-open:node1-db", "node1-db: 1 connection reset at the server, the client not told"),
        ("half-open:node1-db:side=client", "node1-db: 1 connection reset at the client, the server not told"),
    ],
)
def test_what_is_struck_is_told_and_healed(ways: Street, entry: str, detail: str) -> None:
    """New connections work, then and afterwards."""
    ways.ends()
    done = _struck(entry, ways)
    assert detail == done.detail
    pass_on(*ways.ends(), b"meanwhile")
    assert done.heal is not None
    done.heal()
    pass_on(*ways.ends(), b"afterwards")


@pytest.mark.parametrize("entry", ["reset:node1-db", "half-open:node1-db", "reset-answer:node1-db"])
def test_nothing_there_is_nothing_struck(ways: Street, entry: str) -> None:
    """It is tried again."""
    assert _fault(entry, ways.links).strike() is None


def test_a_reset_counts_what_it_hit(ways: Street) -> None:
    """There is nothing to heal."""
    ways.ends()
    client, _ = ways.ends()
    done = _struck("reset:node1-db", ways)
    assert ("node1-db: 2 connections reset", None) == done
    assert "rst" == ended(client)


@pytest.mark.parametrize(
    ("entry", "detail", "arrives"),
    [
        (
            "reset-answer:node1-db:match=COMMIT",
            "node1-db: a request with COMMIT passed on, its connection reset instead of an answer",
            b"COMMIT",
        ),
        ("reset:node1-db:after=3:match=COMMIT", "node1-db: a connection reset after 3 bytes from COMMIT on", b"COM"),
    ],
)
def test_a_trap_that_springs_between_two_tries_is_told_at_the_next(
    ways: Street, entry: str, detail: str, arrives: bytes
) -> None:
    """The striker comes back within its half second; one connection is hit."""
    fault = _fault(entry, ways.links)
    client, server = ways.ends()
    assert fault.strike() is None
    client.sendall(b"COMMIT")
    assert arrives == receive(server, len(arrives))
    if len(arrives) == 6:
        server.sendall(b"done")
    assert "rst" == ended(client)
    done = fault.strike()
    assert done is not None
    assert (detail, None) == done
    assert fault.strike() is None


def test_links_strike_by_the_names_of_their_parts(ways: Street) -> None:
    """As whoever knows nothing of fault plans asks."""
    client, server = ways.ends()
    heal = ways.links.strike("partition", "node1", "db", {"way": "to"})
    client.sendall(b"held")
    ways.barrier()
    assert silent(server)
    heal()
    assert b"held" == receive(server, 4)
    ways.links.strike("reset", "node1", "db", {})()
    for kind, party, options in (("reset", "node1", {}), ("reset", "node3", {}), ("latency", "node1", {"delay": "x"})):
        with pytest.raises(OrchestratorError):
            ways.links.strike(kind, party, "db", options)


def test_a_strike_without_an_answer_is_healed(ways: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy may carry it out all the same, later, and nobody else would heal it."""
    client, server = ways.ends()
    birth = ways.links.birth
    with monkeypatch.context() as patch:
        patch.setattr(proxy, "_ANSWER", 0.1)
        os.kill(birth.pid, signal.SIGSTOP)
        try:
            with pytest.raises(ServiceError, match="gives no answer"):
                ways.links.strike("partition", "node1", "db", {})
        finally:
            os.kill(birth.pid, signal.SIGCONT)
    ways.barrier()
    pass_on(client, server, b"through")


def test_a_party_without_a_link_has_no_url(ways: Street) -> None:
    """It goes directly."""
    assert ways.links.url("node3", "db") is None
    assert ways.links.url("node1", "broker") is None
    assert f"postgresql://somebody:secret@127.0.0.1:{ways.port(LINK)}/shop" == ways.links.url("node1", "db")


@pytest.mark.parametrize(
    ("service", "url", "place", "expected"),
    [
        ("db", "postgresql://u:p%40@127.0.0.1:5/x", ("127.0.0.1", 5), "postgresql://u:p%40@127.0.0.1:9/x"),
        ("db", "postgresql://u:a@b@localhost/x?a=b", ("localhost", 5432), "postgresql://u:a@b@127.0.0.1:9/x?a=b"),
        (
            "db",
            "postgresql://u:p@db.shop:6/x?sslmode=verify-full",
            ("db.shop", 6),
            "postgresql://u:p@db.shop:9/x?sslmode=verify-full&hostaddr=127.0.0.1",
        ),
        (
            "db",
            "postgresql://u@db.shop/x?hostaddr=10.0.0.7&port=7&connect_timeout=3",
            ("10.0.0.7", 7),
            "postgresql://u@db.shop:9/x?connect_timeout=3&hostaddr=127.0.0.1",
        ),
        ("db", "postgresql:///x?host=db.shop", ("db.shop", 5432), "postgresql://db.shop:9/x?hostaddr=127.0.0.1"),
        ("db", "postgresql://u@[::1]:5/x", ("::1", 5), "postgresql://u@127.0.0.1:9/x"),
        ("db", "postgresql://u@[fe00::1]/x", ("fe00::1", 5432), "postgresql://u@[fe00::1]:9/x?hostaddr=127.0.0.1"),
        ("broker", "redis://:p@mq.shop:6/3?x=y", ("mq.shop", 6), "redis://:p@127.0.0.1:9/3?x=y"),
        ("broker", "redis://mq.shop", ("mq.shop", 6379), "redis://127.0.0.1:9"),
    ],
)
def test_a_url_keeps_all_but_its_place(service: str, url: str, place: tuple[str, int], expected: str) -> None:
    """User, password, path and parameters; libpq keeps the host's name, for TLS."""
    assert (place, expected) == (target(service, url), through(service, url, 9))


@pytest.mark.parametrize(
    ("service", "url", "reason"),
    [
        ("db", "postgresql://u:secret@/x", "Unix socket"),
        ("db", "postgresql://u:secret@%2Ftmp/x", "Unix socket"),
        ("db", "postgresql://u:secret@/x?host=/tmp", "Unix socket"),
        ("db", "postgresql://u:secret@a:1,b:2/x", "names several"),
        ("db", "postgresql://u:secret@/x?host=a,b", "names several"),
        ("db", "postgresql://u:secret@h/x?port=x", "is no number"),
        ("db", "postgresql://u:secret@/x?service=shop", "names a service"),
        ("broker", "rediss://u:secret@mq.shop:6379/0", "speaks TLS"),
    ],
)
def test_a_url_that_no_proxy_can_lead_to_is_refused(service: str, url: str, reason: str) -> None:
    """In one sentence without the password, before a process is started."""
    with pytest.raises(UsageError, match=reason) as refused:
        Links({f"node1-{service}"}, {service: url})
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
