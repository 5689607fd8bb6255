"""A hub that forgets what was done: it schedules like one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.explorer.forgetful import ForgetfulHub
from orchestrator.explorer.hub import Hub
from orchestrator.explorer.random_walk import RandomWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.scheduler import Step


class _Lock:
    """One lock, for which workers try again and again or until a circle is closed."""

    def __init__(self, hub: Hub) -> None:
        self.owner: int | None = None
        self._hub = hub

    def take(self) -> None:
        """Wait for it."""
        while self.owner is not None:
            self._hub.block()
        self.owner = self._hub.current


class _Watching:
    """A random walk that notes what it is shown."""

    def __init__(self) -> None:
        self._walk = RandomWalk(3)
        self.seen: list[tuple[tuple[int, ...], int, int | None, tuple[object, ...]]] = []
        self.most = 0

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Note it, and walk on."""
        self.seen.append((tuple(ready), step.number, step.last, tuple(step.points)))
        self.most = max(self.most, len(step.events))
        return self._walk.choose(ready, step)


def _bodies(hub: Hub) -> list[Callable[[], int]]:
    """Make bodies that hold one lock nearly all the time, so that somebody waits nearly always."""
    lock = _Lock(hub)

    def body() -> int:
        for turn in range(20):
            hub.switch("statement", f"update {turn}")
            lock.take()
            hub.answered(None, 1)
            hub.switch("commit")
            lock.owner = None
        return turn

    return [body] * 4


def test_nothing_of_earlier_steps_is_kept() -> None:
    """The same walk shows the same to its policy, but for the steps before."""
    one, other = _Watching(), _Watching()
    hub, forgetful = Hub(one), ForgetfulHub(other)
    whole, rest = hub.run(_bodies(hub)), forgetful.run(_bodies(forgetful))
    assert (one.seen, whole.choices, whole.endings) == (other.seen, rest.choices, rest.endings)
    assert (160, 0) == (len(whole.records), len(rest.records))
    assert (159, 0) == (one.most, other.most)
