"""A node that is to be killed in its pop: whatever else happens meanwhile, it neither stays stopped nor awaited."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import redis

from orchestrator.errors import ServiceError
from orchestrator.faults import pop
from orchestrator.faults.model import Reach
from orchestrator.faults.plan import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.faults.model import Fault


class Nodes:
    """One node, that notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.expected = 0
        self.number = 7
        self.starts = True

    def names(self) -> tuple[str, ...]:
        """Name it."""
        return ("node1",)

    def pid(self, _node: str) -> int:
        """It lives."""
        return self.number

    def signal(self, _node: str, number: int) -> None:
        """Note a signal."""
        self.done.append(signal.Signals(number).name)

    def kill(self, _node: str) -> None:
        """Note the end."""
        self.done.append("killed")

    def start(self, _node: str) -> None:
        """Note a start, or fail."""
        if not self.starts:
            raise ServiceError("it can't be started")
        self.done.append("started")

    def expect(self, _node: str) -> Callable[[], None]:
        """Count who waits for it."""
        self.expected += 1

        def back() -> None:
            self.expected -= 1

        return back


@pytest.fixture
def nodes() -> Nodes:
    """A node that lives."""
    return Nodes()


def _fault(nodes: Nodes, monkeypatch: pytest.MonkeyPatch, *seen: str | Exception) -> Fault:
    """The fault, which sees the node's waits one after another, and the last one for ever."""

    def see() -> Iterator[str]:
        for each in seen:
            if isinstance(each, Exception):
                nodes.number += isinstance(each, psutil.NoSuchProcess)
                raise each
            yield each
        while True:
            yield str(seen[-1])

    waits = see()
    monkeypatch.setattr(pop, "_waits", lambda _client, _pid: next(waits))
    (planned,) = parse(["kill-in-pop"])
    build = pop.FAULTS["kill-in-pop"].build
    typed: Any = nodes
    assert build is not None
    return build(
        planned,
        Reach(
            nodes=typed,
            servers=None,
            database_url="",
            broker_url="redis://127.0.0.1:1/0",
            schema="",
            table="",
            queue="",
            network=None,
            random=random.Random(1),  # noqa: S311 - a seed's choices, no secret
        ),
    )


@pytest.mark.parametrize("error", [redis.ConnectionError(), redis.TimeoutError(), psutil.NoSuchProcess(7)])
@pytest.mark.parametrize(("seen", "done"), [([], []), (["", "1"], ["SIGSTOP", "SIGCONT"])])
def test_a_node_goes_on_where_it_can_not_be_watched(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, seen: list[str], done: list[str], error: Exception
) -> None:
    """The broker is away, or the node: nothing has struck, and it is tried again at the next time."""
    assert _fault(nodes, monkeypatch, *seen, error).strike() is None
    assert (done, 0) == (nodes.done, nodes.expected)


def test_a_node_that_died_otherwise_is_not_killed_once_more(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its successor, which has another number, is spared."""
    struck = _fault(nodes, monkeypatch, "", "1", "1", "1", psutil.NoSuchProcess(7)).strike()
    assert struck is not None
    assert struck.heal is not None
    struck.heal()
    assert (["SIGSTOP", "started"], 0) == (nodes.done, nodes.expected)


def test_a_node_that_can_not_be_started_is_awaited_no_more(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The race would wait for it for ever."""
    struck = _fault(nodes, monkeypatch, "", "1", "1", "1", "2").strike()
    assert struck is not None
    assert struck.heal is not None
    nodes.starts = False
    with pytest.raises(ServiceError, match="can't be started"):
        struck.heal()
    assert (["SIGSTOP", "killed"], 0) == (nodes.done, nodes.expected)
