"""An external fleet: nodes that answer no more are noticed, and said."""

from __future__ import annotations

from typing import Any

import pytest

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
    """Let questions follow each other without a pause."""
    monkeypatch.setattr(fleet, "_ASK", 0.0)


def _external(nodes: Any, *names: str) -> fleet.External:  # noqa: ANN401 - stands in for the broker
    return fleet.External(Profile(nodes=len(names)), nodes, list(names))


@pytest.mark.usefixtures("often")
def test_node_that_is_gone_is_a_gap() -> None:
    """After three questions without an answer it is named, once, and the others go on."""
    nodes = Nodes("a@x", "b@y")
    external = _external(nodes, "a@x", "b@y")
    nodes.alive.discard("a@x")
    said = [external.missing() for _ in range(5)]
    assert [[], [], ["node a@x answers no more: what it had not shipped is missing"], [], []] == said
    assert not external.none_left()


@pytest.mark.usefixtures("often")
def test_no_node_left_ends_the_race() -> None:
    """Nobody is left to take a message, so nobody need wait."""
    nodes = Nodes()
    external = _external(nodes, "a@x")
    assert [0, 0, 1] == [len(external.missing()) for _ in range(3)]
    assert external.none_left()


@pytest.mark.usefixtures("often")
def test_a_busy_node_may_miss_a_question() -> None:
    """A solo pool answers between its tasks: silence is counted in a row."""
    nodes = Nodes("a@x")
    external = _external(nodes, "a@x")
    for answers in (False, False, True, False, False):
        nodes.alive = {"a@x"} if answers else set()
        assert [] == external.missing()


def test_nodes_are_not_asked_all_the_time() -> None:
    """A race's loop is quick; its nodes have work to do."""
    nodes = Nodes("a@x")
    external = _external(nodes, "a@x")
    for _ in range(100):
        external.missing()
    assert 0 == nodes.asked
