"""The hub where statements wait and workers crash, and the events that it makes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.explorer.hub import Crash, Hub
from orchestrator.explorer.model import Event, Footprint, Place, Point, union
from orchestrator.explorer.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.scheduler import Step


def _write(table: str, key: object) -> Footprint:
    places = frozenset([Place(table, key)])
    return Footprint(writes=places, locks=places)


ROW, OTHER = _write("row", 1), _write("row", 2)


class Watching:
    """Follows another policy and keeps who was ready."""

    def __init__(self, policy: Replay) -> None:
        self.policy = policy
        self.seen: list[list[int]] = []

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Note who is ready, and let the other one choose."""
        self.seen.append(list(ready))
        return self.policy.choose(ready, step)


def test_crash_is_a_choice_once_a_message_has_sent_something() -> None:
    """A worker that crashed has its connections cut and its message once more; there are no more crashes than given."""
    cut: list[int] = []
    watching = Watching(Replay([0, 2, 0, 0, 1]))
    hub = Hub(watching, crashes=1, crash=cut.append)

    def body() -> int:
        for delivery in range(2):
            hub.delivered()
            try:
                hub.stand(Point("statement", "update", footprint=ROW))
                hub.stand(Point("commit"))
            except Crash:
                with pytest.raises(Crash):
                    hub.stand(Point("rollback"))
                continue
            return delivery
        return -1

    execution = hub.run([body, lambda: hub.switch("read")])
    assert [[0, 1], [0, 1, 2], [0, 1], [0, 1], [1]] == watching.seen
    assert ([0], 1) == (cut, execution.endings[0].value)
    assert Event(0, "crash", ROW, closes=True) == execution.events[1]


class Held:
    """A wait that ends when `over` is said to be, or when it is cancelled."""

    def __init__(self, hub: Hub, by: Sequence[int] = ()) -> None:
        self.hub, self.workers, self.done, self.why = hub, by, False, ""

    def over(self) -> bool:
        """Say whether it was let go."""
        return self.done

    def by(self) -> Sequence[int]:
        """Name who is in the way."""
        return self.workers

    def cancel(self, why: str) -> None:
        """Keep the reason."""
        self.why = why

    def request(self, footprint: Footprint) -> str:
        """Send a statement that is held up; gives why it was cancelled."""
        self.hub.stand(Point("statement", "update", footprint=footprint))
        self.hub.block(self)
        self.hub.answered(error=self.why)
        return self.why


def test_closer_of_a_circle_is_the_victim() -> None:
    """Who closes a circle of waits is cancelled at once, every time."""
    hub = Hub(Replay([1, 0]))
    waits = [Held(hub, [1]), Held(hub, [0])]

    def first() -> str:
        why = waits[0].request(ROW)
        waits[1].done = True
        return why

    execution = hub.run([first, lambda: waits[1].request(OTHER)])
    assert ("deadlock", "") == tuple(ending.value for ending in execution.endings)
    first_event, last = execution.events
    assert (True, False) == (first_event.waits, first_event.closes)
    assert (True, True, (1,)) == (last.waits, last.closes, last.wakes)


def test_wait_that_nobody_can_end_is_told_so() -> None:
    """When everybody left waits, the first to wait gives up, and the schedule says who it was."""
    hub = Hub(Replay([1, 0]))
    waits = [Held(hub), Held(hub)]
    execution = hub.run([lambda: waits[0].request(ROW), lambda: waits[1].request(OTHER)])
    assert ((1, 0), ("stuck", "stuck")) == (execution.stuck, tuple(ending.value for ending in execution.endings))


def test_statement_that_would_queue_is_held_back() -> None:
    """Nobody is sent behind a waiter, unless nobody else can run."""
    watching = Watching(Replay([1, 0, 2]))
    hub = Hub(watching)
    wait = Held(hub)

    def queues() -> None:
        hub.stand(Point("statement", "update", footprint=ROW))
        wait.done = True

    def passes() -> None:
        hub.stand(Point("statement", "select", footprint=OTHER))

    hub.run([passes, lambda: wait.request(ROW), queues])
    assert [[0, 1, 2], [0], [2]] == watching.seen


def test_step_that_lets_another_go_on_did_both() -> None:
    """A COMMIT that frees a waiter counts as what the waiter's statement touches, too."""
    hub = Hub(Replay([0, 1, 0, 1]))
    wait = Held(hub)

    def holder() -> None:
        hub.stand(Point("statement", "update", footprint=ROW))
        hub.stand(Point("commit"))
        wait.done = True

    def waiter() -> None:
        wait.request(union(ROW, OTHER))
        hub.stand(Point("commit"))

    commit = hub.run([holder, waiter]).events[2]
    assert Event(0, "commit", union(ROW, OTHER), opens=True, closes=True, wakes=(1,)) == commit


@pytest.mark.parametrize(("held", "unforeseen"), [(ROW, ()), (OTHER, (1,))])
def test_a_wait_that_footprints_do_not_explain_is_noted(held: Footprint, unforeseen: tuple[int, ...]) -> None:
    """The database says who is in the way; if nothing that one did meets the statement, a footprint is wrong."""
    hub = Hub(Replay([0, 1, 0]))
    wait = Held(hub, by=[0])

    def holder() -> None:
        hub.stand(Point("statement", "update", footprint=held))
        hub.stand(Point("commit"))
        wait.done = True

    execution = hub.run([holder, lambda: wait.request(ROW)])
    assert unforeseen == execution.unforeseen
