"""Who may run while somebody waits: nobody may stand in line behind a waiter, as long as anybody else can go on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from orchestrator.explorer.hub import Hub
from orchestrator.explorer.model import EVERY, Footprint, Place, Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.scheduler import Step


class _Locks:
    """Row locks of one table, whose server names who has what another one waits for."""

    def __init__(self) -> None:
        self.holders: dict[str, int] = {}

    def take(self, hub: Hub, row: str, told: object) -> None:
        """Lock a row, with a footprint that tells as much of it as `told`."""
        hub.stand(Point("statement", row, footprint=Footprint(locks=frozenset([Place("t", told)]))))
        worker = hub.current
        assert worker is not None
        while self.holders.get(row, worker) != worker:
            hub.block(_Wait(self.holders, row))
        self.holders[row] = worker

    def commit(self, hub: Hub) -> None:
        """Let go of everything."""
        hub.stand(Point("commit"))
        for row in [row for row, holder in self.holders.items() if holder == hub.current]:
            del self.holders[row]


class _Wait:
    def __init__(self, holders: dict[str, int], row: str) -> None:
        self._holders, self._row = holders, row

    def over(self) -> bool:
        """Say whether the row is free."""
        return self._row not in self._holders

    def by(self) -> Sequence[int]:
        """Name its holder."""
        return (self._holders[self._row],) if self._row in self._holders else ()

    def cancel(self, why: str) -> None:
        """Fail: no schedule here comes so far."""
        raise AssertionError(why)


class _First:
    """Follows given choices, then takes whoever may run."""

    def __init__(self, *choices: int) -> None:
        self._choices = choices

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Give the choice of this step."""
        return self._choices[step.number] if step.number < len(self._choices) else ready[0]


def _body(hub: Hub, locks: _Locks, rows: str, told: object = None) -> None:
    for row in rows:
        locks.take(hub, row, row if told is None else told)
    locks.commit(hub)


def _ready(choices: Sequence[int], bodies: Sequence[str], told: object = None) -> tuple[int, ...]:
    """Say who may run after some choices."""
    hub, locks = Hub(_First(*choices), limit=len(choices) + 1), _Locks()
    execution = hub.run([partial(_body, hub, locks, rows, told) for rows in bodies])
    return execution.ready[len(choices)]


def test_who_has_the_row_goes_on() -> None:
    """The holder of what is waited for is not held back by its own waiter."""
    assert (0,) == _ready([0, 1], ["aa", "a", "a"])


def test_who_may_have_any_row_is_held_back() -> None:
    """A lock of which only the table is known is not taken for the row that is waited for."""
    assert (0,) == _ready([2, 0, 1], ["aab", "a", "cab"], told=EVERY)


def test_where_all_would_queue_only_those_in_the_way_go_on() -> None:
    """Two who hold what is waited for go on, into a deadlock if need be; who holds nothing does not join a queue."""
    assert (0, 4) == _ready([0, 4, 1, 3], ["ab", "a", "a", "b", "ba"])
