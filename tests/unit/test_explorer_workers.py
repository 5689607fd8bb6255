"""Greenlets that are used again: no schedule finds in one what an earlier schedule left there."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

import pytest
from greenlet import getcurrent, greenlet

from orchestrator.explorer.hub import Hub
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Body = Callable[[Hub], object]

VARIABLE: Final = contextvars.ContextVar("VARIABLE", default=0)


def _explore(*bodies: Body) -> weakref.ref[Hub]:
    """Run one schedule, and forget all of it."""
    hub = Hub(RandomWalk(1), catch=True)
    hub.run([lambda body=body: body(hub) for body in bodies])  # type: ignore[misc] # the default is no argument
    return weakref.ref(hub)


@pytest.fixture
def _counted() -> Iterator[None]:
    """What is gone in the block is gone because nothing holds it, not because somebody looked for circles."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _alive(kind: type[object]) -> int:
    return sum(isinstance(each, kind) for each in gc.get_objects())


@pytest.mark.usefixtures("_counted")
def test_a_greenlet_that_nobody_remembers_is_used_again() -> None:
    """Two schedules of two workers make do with two."""
    seen: list[int] = []

    def body(hub: Hub) -> None:
        seen.append(id(getcurrent()))
        hub.switch("write")

    keep = [greenlet() for _ in range(100)]  # an address that is free by now would tell nothing
    _explore(body, body)
    keep += [greenlet() for _ in range(100)]
    _explore(body, body)
    assert sorted(seen[:2]) == sorted(seen[2:])


def test_one_that_somebody_remembers_is_over_for_good() -> None:
    """Whoever keeps it sees it dead, and never again."""
    kept: list[greenlet] = []

    def body(hub: Hub) -> None:
        kept.append(getcurrent())
        hub.switch("write")

    for _ in range(3):
        _explore(body)
    assert [True] * 3 == [each.dead for each in kept]
    assert 3 == len(set(kept))


@pytest.mark.usefixtures("_counted")
def test_one_whose_end_somebody_waits_for_ends() -> None:
    """A weak dictionary forgets it with its schedule."""
    kept: weakref.WeakKeyDictionary[greenlet, int] = weakref.WeakKeyDictionary()

    def body(hub: Hub) -> None:
        kept[getcurrent()] = kept.get(getcurrent(), 0) + 1
        hub.switch("write")
        assert 1 == kept[getcurrent()]

    for _ in range(3):
        _explore(body)
    assert 0 == len(kept)


@pytest.mark.parametrize("cut", [False, True])
def test_what_a_body_leaves_on_a_greenlet_no_other_finds(cut: bool) -> None:  # noqa: FBT001 - a parameter
    """Attributes and context variables begin anew, also after a worker was ended in the middle."""
    found: list[tuple[object, int]] = []

    def body(hub: Hub) -> None:
        here: Any = getcurrent()
        found.append((getattr(here, "left", None), VARIABLE.get()))
        here.left = 1
        VARIABLE.set(1)
        hub.switch("write")

    for _ in range(3):
        hub = Hub(RandomWalk(1), limit=1 if cut else 0)
        hub.run([lambda hub=hub: body(hub)] * 2)  # type: ignore[misc] # the default is no argument
    assert [(None, 0)] * 6 == found


def test_an_exception_while_unwinding_leaves_nothing_to_the_next() -> None:
    """Its worker is over as any other is."""
    begun: list[str] = []

    def failing(hub: Hub) -> None:
        begun.append("failing")
        try:
            hub.switch("write")
        finally:
            raise ValueError("while unwinding")

    def whole(hub: Hub) -> None:
        begun.append("whole")
        hub.switch("write")
        begun.append("over")

    for body, limit in ((failing, 1), (whole, 0)):
        hub = Hub(Replay((0,) if limit else (0, 1)), catch=True, limit=limit)
        hub.run([lambda body=body, hub=hub: body(hub)] * 2)  # type: ignore[misc] # the defaults are no arguments
    assert ["failing", "failing", "whole", "whole", "over", "over"] == begun


def test_a_body_may_explore() -> None:
    """Each hub steps its own workers, in each of the schedules."""
    log: list[str] = []

    def inner(hub: Hub) -> None:
        hub.switch("write")
        log.append("inner")

    def outer(hub: Hub) -> None:
        hub.switch("write")
        _explore(inner, inner)
        hub.switch("write")
        log.append("outer")

    for _ in range(3):
        _explore(outer)
    assert ["inner", "inner", "outer"] * 3 == log


@pytest.mark.usefixtures("_counted")
def test_a_schedule_that_is_over_holds_nothing() -> None:
    """Neither its hub nor what its bodies hold waits for a search for circles."""

    class Held:
        """Something that a body holds."""

    def body(held: Held) -> Body:
        def holding(hub: Hub) -> Held:
            hub.switch("write")
            return held

        return holding

    hubs = [_explore(body(Held()), body(Held())) for _ in range(3)]
    assert [None] * 3 == [each() for each in hubs]
    assert 0 == _alive(Held)


@pytest.mark.usefixtures("_counted")
def test_a_thread_takes_its_greenlets_along() -> None:
    """Nobody could end them any more."""

    def explore() -> None:
        for _ in range(2):
            _explore(*[lambda hub: hub.switch("write")] * 3)

    before = _alive(greenlet)
    for _ in range(20):
        thread = threading.Thread(target=explore)
        thread.start()
        thread.join()
    _explore(lambda hub: hub.switch("write"))  # what a dead thread left is let go at the next switch
    assert 10 > _alive(greenlet) - before
