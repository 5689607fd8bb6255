"""The hub: who runs, who waits, what a schedule is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from greenlet import GreenletExit

from orchestrator.explorer.clock import VirtualClock
from orchestrator.explorer.hub import Deadlock, Hub
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from orchestrator.explorer.scheduler import Divergence, ExplorerError, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.scheduler import Step


class Lock:
    """A row's lock as a database keeps it: taken by a write, freed by the step that commits."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.holder: int | None = None

    def take(self) -> None:
        """Wait while another worker holds it."""
        self.hub.switch("write", "update")
        while self.holder not in (None, self.hub.current):
            self.hub.block()
        self.holder = self.hub.current

    def free(self, kind: str = "commit") -> None:
        """End the transaction."""
        self.hub.switch(kind)
        self.holder = None


class Watching:
    """Follows another policy and keeps what it was shown."""

    def __init__(self, policy: Replay) -> None:
        self.policy = policy
        self.seen: list[tuple[list[int], int | None, list[Point]]] = []

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Note the step, and let the other one choose."""
        self.seen.append((list(ready), step.last, list(step.points)))
        return self.policy.choose(ready, step)


def _writers(hub: Hub, log: list[str], names: str) -> list[Callable[[], None]]:
    def writer(name: str) -> Callable[[], None]:
        def body() -> None:
            for number in range(3):
                hub.switch("write", f"{name}{number}")
                log.append(f"{name}{number}")

        return body

    return [writer(name) for name in names]


def _walk(seed: int) -> tuple[list[int], list[str]]:
    hub, log = Hub(RandomWalk(seed)), list[str]()
    hub.run(_writers(hub, log, "abc"))
    return hub.choices, log


def test_worker_runs_from_one_point_to_the_next_only() -> None:
    """A step runs one worker up to its next switch point."""
    hub = Hub(Replay([1, 0, 0, 1, 1, 0]))
    log: list[str] = []
    hub.run(_writers(hub, log, "ab"))
    assert log == ["b0", "a0", "a1", "b1", "b2", "a2"]


def test_policy_sees_ready_workers_and_points() -> None:
    """A policy is shown who is ready, who ran last and what each would do next."""
    watching = Watching(Replay([1, 0]))
    hub = Hub(watching)
    hub.run([lambda: hub.switch("read", "select"), lambda: hub.switch("write", "update")])
    assert [
        ([0, 1], None, [Point("read", "select"), Point("write", "update")]),
        ([0], 1, [Point("read", "select"), Point("write", "update")]),
    ] == watching.seen


def test_same_seed_same_schedule() -> None:
    """A random walk is decided by its seed."""
    assert _walk(7) == _walk(7)


def test_other_seed_other_schedule() -> None:
    """Seeds reach different schedules."""
    assert len({tuple(_walk(seed)[0]) for seed in range(20)}) > 15


def test_random_walk_is_pinned() -> None:
    """The walk's sequence is part of what a seed means, on every Python version."""
    assert _walk(1)[0] == [0, 2, 2, 0, 1, 1, 1, 2, 0]


def test_replay_repeats_a_walk() -> None:
    """The recorded choices make the same run again."""
    choices, log = _walk(3)
    hub, again = Hub(Replay(choices)), list[str]()
    hub.run(_writers(hub, again, "abc"))
    assert (choices, log) == (hub.choices, again)


@pytest.mark.parametrize(("choices", "sentence"), [([0], "1 choices"), ([0, 0, 0, 0, 0, 1], "only \\[1\\] are ready")])
def test_replay_reports_divergence(choices: list[int], sentence: str) -> None:
    """A schedule that doesn't fit the bodies is reported, never bent to fit."""
    hub = Hub(Replay(choices))
    with pytest.raises(Divergence, match=sentence):
        hub.run(_writers(hub, [], "ab"))


@pytest.mark.parametrize("kind", ["commit", "rollback"])
def test_blocked_worker_waits_for_the_end_of_the_holder(kind: str) -> None:
    """A blocked worker isn't ready until the holder has ended; it goes on within that step."""
    watching = Watching(Replay([0, 1, 0, 1]))
    hub = Hub(watching)
    lock = Lock(hub)

    def body() -> None:
        lock.take()
        lock.free(kind)

    hub.run([body, body])
    assert [ready for ready, _, _ in watching.seen] == [[0, 1], [0, 1], [0], [1]]


def test_holder_that_ends_wakes_the_blocked() -> None:
    """A body's end frees what it held, so that nobody waits for ever."""
    hub = Hub(Replay([0, 1, 0]))
    held = [True]

    def holder() -> None:
        hub.switch("write")
        hub.switch("read")
        held.clear()

    def waiter() -> None:
        hub.switch("write")
        while held:
            hub.block()

    hub.run([holder, waiter])
    assert hub.choices == [0, 1, 0]


def test_deadlock_of_all_is_an_error_that_names_them() -> None:
    """Where nobody can run, the run ends with a sentence and not with silence."""
    hub = Hub(RandomWalk(1))
    first, second = Lock(hub), Lock(hub)
    met: list[int] = []

    def body(one: Lock, other: Lock) -> Callable[[], None]:
        def run() -> None:
            one.take()
            met.append(1)
            while len(met) < 2:
                hub.switch("read")
            other.take()

        return run

    with pytest.raises(Deadlock, match="worker 0 before update; worker 1 before update"):
        hub.run([body(first, second), body(second, first)])


def test_exception_surfaces_and_unwinds_the_others() -> None:
    """A body's exception ends the run; the others' `finally` blocks run, without switching."""
    hub = Hub(Replay([0, 1]))
    log: list[str] = []

    def bystander() -> None:
        try:
            hub.switch("read")
            hub.switch("write")
            log.append("never")
        finally:
            hub.switch("rollback")
            log.append("unwound")

    def broken() -> None:
        hub.switch("read")
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        hub.run([bystander, broken])
    assert log == ["unwound"]


def test_unwinding_reaches_everybody() -> None:
    """An exception while one worker unwinds hides no first one, and keeps no other from unwinding or ending."""
    hub = Hub(Replay([0, 2]))
    log: list[str] = []

    def stubborn() -> None:
        try:
            hub.switch("read")
            hub.block()
        except GreenletExit:
            log.append("exit")
            hub.block()

    def spoils() -> None:
        try:
            hub.switch("read")
        finally:
            raise ValueError("while unwinding")

    def broken() -> None:
        hub.switch("read")
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        hub.run([stubborn, spoils, broken])
    assert (log, hub.current) == (["exit"], None)


def test_switch_outside_of_a_run_does_nothing() -> None:
    """Set-up and clean-up may use the same hooks as workers."""
    hub = Hub(RandomWalk(1))
    hub.switch("write")
    assert hub.choices == []


def test_block_outside_of_a_run_is_an_error() -> None:
    """Nobody could ever free such a lock."""
    with pytest.raises(Deadlock, match="outside of a run"):
        Hub(RandomWalk(1)).block()


def test_hub_runs_once() -> None:
    """One hub, one schedule."""
    hub = Hub(RandomWalk(1))
    hub.run([lambda: None])
    with pytest.raises(ExplorerError, match="once"):
        hub.run([lambda: None])


def test_no_bodies_no_choices() -> None:
    """An empty run ends at once."""
    hub = Hub(RandomWalk(1))
    hub.run([])
    assert hub.choices == []


def test_threads_make_the_same_schedule() -> None:
    """Workers that are threads go through the same points in the same order as greenlets."""
    runs = []
    for threads in (False, True):
        hub, log = Hub(RandomWalk(5), threads=threads), list[str]()
        runs.append((hub.run(_writers(hub, log, "abc"))._replace(records=()), log))
    assert runs[0] == runs[1]


def test_threads_unwind() -> None:
    """A thread left in the middle ends, its `finally` blocks run."""
    hub, log = Hub(Replay([0]), threads=True), list[str]()

    def left() -> None:
        try:
            hub.switch("read")
        finally:
            log.append("unwound")

    def broken() -> None:
        hub.switch("read")
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        hub.run([broken, left])
    assert log == ["unwound"]


def test_exception_is_an_ending_where_bodies_are_explored() -> None:
    """With `catch` a body's exception ends its worker only."""
    hub = Hub(Replay([1]), catch=True)

    def broken() -> None:
        raise KeyError("broken")

    def body() -> str:
        hub.switch("read")
        return "done"

    endings = hub.run([broken, body]).endings
    assert ["KeyError", "'done'"] == [ending.shown for ending in endings]


def test_limit_cuts_a_schedule() -> None:
    """A body that never ends is left at the limit of steps."""
    hub = Hub(Replay([0, 0, 0]), limit=3)

    def body() -> None:
        while True:
            hub.switch("read")

    execution = hub.run([body])
    assert (True, (0, 0, 0)) == (execution.cut, execution.choices)


def test_clock_only_goes_forward() -> None:
    """Readings increase strictly, and a pause moves the clock to its end at least."""
    clock = VirtualClock()
    first = clock.read()
    clock.reach(first + 5_000)
    second = clock.read()
    clock.reach(first)
    assert first + 5_000 < second < clock.read()
