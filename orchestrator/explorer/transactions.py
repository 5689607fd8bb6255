"""What each worker's open transactions have touched, which tells what its next step would be as an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.explorer.model import EVERY, NOTHING, Event, meet, union

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.explorer.model import Footprint, Places, Point

#: Points that end a transaction.
ENDS = frozenset({"commit", "rollback"})


class Transactions:
    """One worker's, by session."""

    __slots__ = ("_open", "_worker")

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._open: dict[int, Footprint] = {}

    def event(self, point: Point) -> Event:
        """Say what a step from `point` would be."""
        kind = point.kind
        if kind == "statement":
            if point.alone:
                return Event(self._worker, kind, point.footprint, closes=True)
            before = self._open.get(point.session)
            if before is None:
                return Event(self._worker, kind, point.footprint, opens=True)
            if point.frees:  # of all that it holds, nobody knows what
                return Event(self._worker, kind, union(before, point.footprint), closes=True, before=before)
            return Event(self._worker, kind, point.footprint, before=before)
        if kind in ENDS:
            return Event(self._worker, kind, self._open.get(point.session, NOTHING), closes=True)
        return Event(self._worker, kind, point.footprint)

    def crash(self) -> Event:
        """Say what it would be to lose every connection."""
        return Event(self._worker, "crash", self._all(), closes=True)

    def failed(self, event: Event) -> Event:
        """Say what a step was whose statement ended with an error: the transaction's locks are free."""
        return event._replace(footprint=union(event.footprint, self._all()), closes=True)

    def take(self, point: Point) -> None:
        """Count a step as done."""
        if point.kind == "statement":
            if not point.alone:
                known = self._open.get(point.session)
                self._open[point.session] = point.footprint if known is None else union(known, point.footprint)
        elif point.kind in ENDS:
            self._open.pop(point.session, None)

    def drop(self) -> None:
        """Forget everything: the worker has crashed or ended."""
        self._open.clear()

    @property
    def any(self) -> bool:
        """Whether a transaction is open."""
        return bool(self._open)

    def queues(self, point: Point, waiting: Footprint, *, sure: bool = True) -> bool:
        """Say whether a statement would stand in line behind one that waits already.

        Unless `sure`, a lock that may be of any row of a table is not taken for the one that is waited for.
        """
        if point.kind != "statement":
            return False
        wanted = point.footprint
        held = self._open.get(point.session, NOTHING)
        locks, shares = (held.locks, held.shares) if sure else (_rows(held.locks), _rows(held.shares))
        return crosses(wanted.locks - locks, wanted.shares - shares, waiting)

    def woken(self, event: Event, waiting: Event, *, failed: bool) -> Event:
        """Say what another worker's step was that let this one's waiting statement go on: it did both."""
        footprint = union(event.footprint, waiting.footprint)
        return event._replace(
            footprint=union(footprint, self._all()) if failed else footprint,
            opens=event.opens or waiting.opens,
            closes=event.closes or waiting.closes or failed,
            before=union(event.before, waiting.before),
            wakes=(*event.wakes, self._worker),
        )

    def _all(self) -> Footprint:
        whole = NOTHING
        for each in self._open.values():
            whole = union(whole, each)
        return whole


def _rows(places: Places) -> Places:
    """Leave out what is a whole table."""
    return frozenset([place for place in places if place.key != EVERY])


def crosses(locks: Places, shares: Places, others: Footprint) -> bool:
    """Say whether locks stand against another's; two shares do not."""
    return meet(locks, others.locks) or meet(locks, others.shares) or meet(shares, others.locks)


def foreseen(events: Iterable[Event], by: Iterable[int], waiting: Footprint) -> bool:
    """Say whether what the workers `by` did so far explains that a statement waits for one of them."""
    holders = frozenset(by)
    return not holders or any(
        event.worker in holders and crosses(event.footprint.locks, event.footprint.shares, waiting) for event in events
    )
