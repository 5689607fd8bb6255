"""Faults on real worker nodes: they are struck, they heal, and nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from orchestrator.broker import Broker
from orchestrator.errors import ServiceError, UsageError
from orchestrator.faults.model import Reach
from orchestrator.faults.plan import parse
from orchestrator.faults.striker import Striker
from orchestrator.faults.worker import FAULTS, celery_settings
from orchestrator.fleet import Place, fleet
from orchestrator.fleet.external import External
from orchestrator.fleet.node import address
from orchestrator.fleet.spawned import Spawned
from orchestrator.profile import Pool, Profile
from orchestrator.run import new_run
from orchestrator.watchdog import Kind
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.faults.model import Fault, Struck
    from orchestrator.fleet import Crew
    from orchestrator.services import Services
    from orchestrator.services.process import Birth


class Ground:
    """A fleet, and what reaches it."""

    def __init__(self, crew: Crew, broker: Broker, place: Place) -> None:
        self.crew, self.broker, self.place = crew, broker, place

    @property
    def reach(self) -> Reach:
        """What faults may lay hands on: the nodes."""
        return Reach(
            nodes=self.crew,
            servers=None,
            database_url=self.place.database_url,
            broker_url=self.place.broker_url,
            schema="",
            table="",
            queue=self.broker.queue,
            network=None,
            random=random.Random(1),  # noqa: S311 - a seed's choices, no secret
        )

    def fault(self, text: str) -> Fault:
        """Make the fault of an entry."""
        (planned,) = parse([text])
        build = FAULTS[planned.name].build
        assert build is not None
        return build(planned, self.reach)

    def answers(self, *names: str) -> bool:
        """Say whether these nodes answer, with their pools up."""
        wanted = [address(self.place.run, name) for name in names]
        return wanted == self.broker.ping(2.0, wanted) and all(len(self.crew.children(name)) == 2 for name in names)

    def processes(self, node: str) -> list[psutil.Process]:
        """The node's processes."""
        pid = self.crew.pid(node)
        return [] if pid is None else [psutil.Process(each) for each in (pid, *self.crew.children(node))]


class Watched:
    """A watchdog that notes what it is told."""

    def __init__(self) -> None:
        self.added: list[int] = []
        self.dropped: list[int] = []

    def add(self, birth: Birth, kind: Kind) -> None:
        """Note a living node."""
        assert (True, Kind.NODE) == (birth.lives(), kind)
        self.added.append(birth.pid)

    def drop(self, pid: int) -> None:
        """Note an ended one."""
        self.dropped.append(pid)


@contextlib.contextmanager
def _opened(services: Services, folder: Path, profile: Profile, **place: Any) -> Iterator[Ground]:  # noqa: ANN401 - Place's fields
    """A fleet of its own, of which nothing stays."""
    run = new_run()
    broker_url = f"{services.broker_url.rpartition('/')[0]}/6"
    where = Place(
        run=run,
        database_url=services.database_url,
        broker_url=broker_url,
        logs=folder,
        journals=folder / "journals",
        **place,
    )
    broker = Broker(broker_url, run)
    try:
        with fleet(profile, broker, where, threading.Event()) as crew:
            yield Ground(crew, broker, where)
        assert [] == [process for node in crew.names() for process in _ours(node, run)]
    finally:
        broker.remove()
        broker.close()


@pytest.fixture(scope="module")
def opened(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Two nodes of two processes, the second with soft shutdowns."""
    with _opened(
        services,
        tmp_path_factory.mktemp("struck"),
        Profile(),
        common={"ROWRACE_PREFETCH": "2", "ROWRACE_TEST_OF": "common"},
        extra={"node2": {"ROWRACE_TEST_OF": "node2"}},
        settings=celery_settings(parse(["soft-shutdown:node2"]), ("node1", "node2")),
    ) as ground:
        yield ground


@pytest.fixture
def ground(opened: Ground) -> Ground:
    """The same, with all nodes up, whatever the last test did."""
    for node in opened.crew.names():
        opened.crew.start(node)
    wait_until(lambda: opened.answers("node1", "node2"))
    return opened


def _ours(node: str, run: str) -> list[psutil.Process]:
    """Every process that was told the node's address, the pool's too."""
    return [each for each in psutil.process_iter() if any(f"{node}-{run}" in word for word in _words(each))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _dead(ground: Ground, node: str) -> bool:
    return ground.crew.pid(node) is None


def _struck(fault: Fault) -> Struck:
    """Strike as soon as something is there to strike: a node takes a while until it is at work."""
    struck: list[Struck] = []

    def strikes() -> bool:
        if (found := fault.strike()) is not None:
            struck.append(found)
        return bool(struck)

    wait_until(strikes)
    return struck[0]


def _heal(struck: Struck) -> None:
    assert struck.heal is not None
    struck.heal()


def test_a_killed_child_is_replaced(ground: Ground) -> None:
    """By its node, which goes on."""
    before, main = ground.crew.children("node1"), ground.crew.pid("node1")
    struck = _struck(ground.fault("kill-child:node1"))
    found = re.fullmatch(r"node1's child ([0-9]+) got SIGKILL", struck.detail)
    assert found is not None
    assert (True, None) == (int(found[1]) in before, struck.heal)
    wait_until(lambda: len(set(ground.crew.children("node1")) - {int(found[1])}) == 2)
    assert main == ground.crew.pid("node1")


def test_a_killed_node_is_expected_back_and_started_again(ground: Ground) -> None:
    """Its pool dies with it, and the race waits for it even if no other lives."""
    killed = [(node, ground.processes(node)) for node in ("node1", "node2")]
    struck = [_struck(ground.fault("kill-node:node1")), _struck(ground.fault("kill-node:node2"))]
    assert [3, 3] == [len(processes) for _, processes in killed]
    assert not any(process.is_running() and process.status() != "zombie" for _, all_ in killed for process in all_)
    assert (None, None) == (ground.crew.pid("node1"), ground.crew.pid("node2"))
    assert (None, []) == (ground.fault("kill-node").strike(), ground.crew.children("node1"))
    assert ([], False) == (ground.crew.missing(), ground.crew.none_left())
    for each in struck:
        _heal(each)
    wait_until(lambda: ground.answers("node1", "node2"))
    assert not ground.crew.none_left()


def test_nodes_that_nobody_expects_are_gone(ground: Ground) -> None:
    """A node that is killed without a fault leaves a race without workers, and orphans are swept."""
    for node in ("node1", "node2"):
        orphans = ground.processes(node)[1:]
        ground.crew.signal(node, signal.SIGKILL)
        wait_until(partial(_dead, ground, node))
        assert [] == ground.crew.missing()
        assert not any(process.is_running() and process.status() != "zombie" for process in orphans)
    assert ground.crew.none_left()


def test_a_node_outlives_the_thread_that_started_it(ground: Ground) -> None:
    """The kernel ends a child with the thread of its parent that made it; a fault's thread ends long before."""
    ground.crew.kill("node1")
    thread = threading.Thread(target=ground.crew.start, args=("node1",))
    thread.start()
    thread.join()
    pid = ground.crew.pid("node1")
    wait_until(lambda: ground.answers("node1"))
    assert pid == ground.crew.pid("node1")


def test_a_restarted_node_has_its_environment(ground: Ground) -> None:
    """The common one, and its own over it."""
    ground.crew.kill("node2")
    ground.crew.start("node2")
    wait_until(lambda: ground.answers("node2"))
    seen = [psutil.Process(ground.crew.pid(node)).environ() for node in ("node1", "node2")]
    assert [("2", "common"), ("2", "node2")] == [(env["ROWRACE_PREFETCH"], env["ROWRACE_TEST_OF"]) for env in seen]


def test_a_paused_node_says_nothing_until_it_is_resumed(ground: Ground) -> None:
    """Its main process and its pool are stopped, and it isn't chosen again."""
    struck = _struck(ground.fault("pause-node:node1"))
    wait_until(lambda: all(each.status() == "stopped" for each in ground.processes("node1")))
    assert [] == ground.broker.ping(0.3, [address(ground.place.run, "node1")])
    assert None is ground.fault("pause-node:node1").strike()
    assert None is ground.fault("kill-child:node1").strike()
    _heal(struck)
    wait_until(lambda: ground.answers("node1"))


def test_a_paused_child_is_resumed_alone(ground: Ground) -> None:
    """The rest of its node goes on."""
    struck = _struck(ground.fault("pause-child:node1"))
    wait_until(lambda: any(each.status() == "stopped" for each in ground.processes("node1")))
    (stopped,) = [each for each in ground.processes("node1") if each.status() == "stopped"]
    assert f"node1's child {stopped.pid} got SIGSTOP" == struck.detail
    _heal(struck)
    wait_until(lambda: "stopped" != stopped.status())


def test_a_resumption_leaves_a_node_alone_that_was_killed_meanwhile(ground: Ground) -> None:
    """What was stopped is gone; its successor is another."""
    paused, killed = _struck(ground.fault("pause-node:node1")), _struck(ground.fault("kill-node:node2"))
    ground.crew.kill("node1")
    ground.crew.start("node1")
    for struck in (paused, killed):
        _heal(struck)
    wait_until(lambda: ground.answers("node1", "node2"))


@pytest.mark.parametrize(
    ("text", "said"),
    [("warm-shutdown:node1", "SIGTERM"), ("cold-shutdown:node1", "SIGQUIT"), ("soft-shutdown:node2", "SIGQUIT")],
)
def test_a_node_that_was_shut_down_is_started_again(ground: Ground, text: str, said: str) -> None:
    """It ends by itself, and is back after the healing."""
    node = text.rpartition(":")[2]
    pid = ground.crew.pid(node)
    struck = _struck(ground.fault(text))
    assert f"{node} ({pid}) got {said}" == struck.detail
    wait_until(lambda: ground.crew.pid(node) is None)
    _heal(struck)
    wait_until(lambda: ground.answers(node))
    assert pid != ground.crew.pid(node)


def test_a_node_that_does_not_end_is_killed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """A paused one hears no SIGTERM; the healing starts it all the same."""
    monkeypatch.setattr("orchestrator.faults.worker._PATIENCE", 0.1)
    pid = ground.crew.pid("node1")
    struck = _struck(ground.fault("warm-shutdown:node1"))
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    _heal(struck)
    wait_until(lambda: ground.answers("node1"))
    assert pid != ground.crew.pid("node1")


def test_a_plan_strikes_a_living_fleet(services: Services, tmp_path: Path) -> None:
    """Kills and pauses over each other; once it has stopped, every node is back."""
    plan = "kill-child:at=0s:every=100ms:count=5,kill-node:at=200ms:every=1s:count=2,pause-node:at=100ms:for=1m"
    # A slow machine's node may lose a process while it starts, which ends it.
    with _opened(services, tmp_path, Profile(), supervised=True) as ground:
        striker = Striker(parse([plan]), ground.reach, lambda: 0)
        striker.start()
        wait_until(lambda: len(striker.strikes()) == 8)
        striker.stop()
        wait_until(lambda: not ground.crew.missing() and ground.answers("node1", "node2"))
        assert [] == striker.gaps()
        names = [each.name for each in striker.strikes()]
        assert [5, 2, 1] == [names.count(name) for name in ("kill-child", "kill-node", "pause-node")]


def test_nodes_that_are_not_there_are_refused(ground: Ground) -> None:
    """With the names of those that are."""
    with pytest.raises(UsageError, match="there is no node3; the nodes are node1, node2"):
        ground.fault("kill-node:node3")


def test_external_nodes_are_not_ours_to_strike(ground: Ground) -> None:
    """Whatever the fault, in one sentence."""
    theirs = External(Profile(), ground.broker, ["a@x", "b@y"])
    reach = Reach(**{**{name: getattr(ground.reach, name) for name in Reach.__struct_fields__}, "nodes": theirs})
    for name in FAULTS:
        with pytest.raises(ServiceError, match="External workers are not ours to strike"):
            Striker(parse([name]), reach, lambda: 0)


def _revive(ground: Ground) -> None:
    """Let a supervised node end by itself, while no fault expects it back, and while one does."""
    back = ground.crew.expect("node1")
    ground.crew.kill("node1")
    assert ([], None, False) == (ground.crew.missing(), ground.crew.pid("node1"), ground.crew.none_left())
    back()
    assert ([], {"node1": 1}, False) == (ground.crew.missing(), ground.crew.revived(), ground.crew.none_left())
    assert ground.crew.pid("node1") is not None


def test_a_node_that_ends_at_once_is_given_up(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times in a row is enough to see that it won't live."""
    monkeypatch.setattr(Spawned, "wait", lambda _self, _broker: None)
    with _opened(services, tmp_path, Profile(nodes=1, pool=Pool.SOLO), supervised=True) as ground:
        for _ in range(10):
            assert not ground.crew.none_left()
            ground.crew.kill("node1")
            assert [] == ground.crew.missing()
        ground.crew.kill("node1")
        found = (ground.crew.missing(), ground.crew.revived(), ground.crew.none_left())
    assert ([], {"node1": 10}, True) == found


def test_pools_without_processes_have_no_child_to_strike(services: Services, tmp_path: Path) -> None:
    """A fault that needs one is refused; a node that ends is started again, until its fleet ends, paused or not."""
    watched = Watched()
    with _opened(services, tmp_path, Profile(nodes=1, pool=Pool.SOLO), supervised=True, watchdog=watched) as ground:
        _revive(ground)
        assert ground.crew.pid("node1") == watched.added[-1]
        for text in ("kill-child", "pause-child"):
            with pytest.raises(UsageError, match="use --pool prefork"):
                ground.fault(text)
        _struck(ground.fault("pause-node"))
    with pytest.raises(ServiceError, match="its fleet has ended"):
        ground.crew.start("node1")
    assert (2, watched.added) == (len(watched.added), watched.dropped)
