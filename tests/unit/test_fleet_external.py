"""An external fleet: nodes that answer no more are noticed, and said; those that come back are forgiven."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from orchestrator.errors import ServiceError
from orchestrator.fleet import external as fleet
from orchestrator.profile import Profile


class Nodes:
    """A broker whose nodes answer, or don't."""

    def __init__(self, *names: str) -> None:
        self.alive = set(names)
        self.asked = 0

    def ping(self, timeout: float, nodes: list[str]) -> list[str]:  # noqa: ARG002 - the broker's signature
        """Answer for those that live."""
        self.asked += 1
        return sorted(self.alive & set(nodes))


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let questions follow each other without a pause, and nobody be waited for at the end."""
    monkeypatch.setattr(fleet, "_ASK", 0.0)
    monkeypatch.setattr(fleet, "_BACK", 0.0)


def _external(nodes: Any, *names: str, faults: tuple[str, ...] = ()) -> fleet.External:  # noqa: ANN401 - stands in
    return fleet.External(Profile(nodes=len(names), faults=faults), nodes, list(names))


@pytest.mark.usefixtures("often")
def test_node_that_is_gone_is_a_gap_at_the_end() -> None:
    """Who is silent may come back, and is named only where it does not answer once all is over."""
    nodes = Nodes("a@x", "b@y")
    external = _external(nodes, "a@x", "b@y")
    nodes.alive.discard("a@x")
    assert [[]] * 5 == [external.missing() for _ in range(5)]
    assert ["node a@x answers no more: what it had not shipped is missing"] == external.save()
    assert not external.none_left()


@pytest.mark.usefixtures("often")
def test_node_that_answers_again_is_forgiven() -> None:
    """Cut off for long and back by the end, it ships everything itself."""
    nodes = Nodes("b@y")
    external = _external(nodes, "a@x", "b@y")
    for _ in range(20):
        external.missing()
    nodes.alive.add("a@x")
    assert ([], False) == (external.save(), external.none_left())


@pytest.mark.usefixtures("often")
def test_node_that_falls_silent_last_is_asked_again() -> None:
    """One question without an answer proves nothing: it is asked until three are."""
    nodes = Nodes("b@y")
    external = _external(nodes, "a@x", "b@y")
    external.missing()
    assert ["node a@x answers no more: what it had not shipped is missing"] == external.save()
    assert 3 == nodes.asked


def test_node_is_waited_for_under_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """What faults have cut off or ended takes a while to be back, and is waited for."""
    monkeypatch.setattr(fleet, "_ASK", 0.0)

    class Slow(Nodes):
        def ping(self, timeout: float, nodes: list[str]) -> list[str]:
            if self.asked == 30:
                self.alive.add("a@x")
            return super().ping(timeout, nodes)

    nodes = Slow()
    external = _external(nodes, "a@x", faults=("kill-clients",))
    external.missing()
    assert [] == external.save()
    assert 31 == nodes.asked


@pytest.mark.usefixtures("often")
def test_no_node_left_ends_the_race() -> None:
    """Nobody is left to take a message, so nobody need wait."""
    nodes = Nodes()
    external = _external(nodes, "a@x")
    said = [(external.missing(), external.none_left()) for _ in range(3)]
    assert [([], False), ([], False), ([], True)] == said


@pytest.mark.usefixtures("often")
def test_faults_may_silence_all_nodes_for_a_while() -> None:
    """Under a fault plan nodes that are all cut off will be back when they are healed."""
    external = _external(Nodes(), "a@x", faults=("partition:worker1-broker",))
    for _ in range(5):
        external.missing()
    assert not external.none_left()


@pytest.mark.usefixtures("often")
def test_a_busy_node_may_miss_a_question() -> None:
    """A solo pool answers between its tasks: silence is counted in a row."""
    nodes = Nodes("a@x")
    external = _external(nodes, "a@x")
    for answers in (False, False, True, False, False):
        nodes.alive = {"a@x"} if answers else set()
        external.missing()
        assert not external.none_left()
    nodes.alive = {"a@x"}
    assert [] == external.save()


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("faults", [(), ("partition:orchestrator-broker",)])
def test_a_broker_that_is_away_ends_the_race_unless_faults_strike(faults: tuple[str, ...]) -> None:
    """Cut off from the broker by a fault, the orchestrator asks again once it is healed."""

    class Away(Nodes):
        def ping(self, timeout: float, nodes: list[str]) -> list[str]:  # noqa: ARG002 - the broker's signature
            raise ServiceError("The broker does not answer.")

    external = _external(Away("a@x"), "a@x", faults=faults)
    with contextlib.nullcontext() if faults else pytest.raises(ServiceError):
        assert [] == external.missing()
    assert ([], False) == (external.save(), external.none_left())


def test_nodes_are_not_asked_all_the_time() -> None:
    """A race's loop is quick; its nodes have work to do."""
    nodes = Nodes("a@x")
    external = _external(nodes, "a@x")
    for _ in range(100):
        external.missing()
    assert 0 == nodes.asked
