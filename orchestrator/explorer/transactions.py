"""What each worker's open transactions have touched, which tells what its next step would be as an event."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from orchestrator.explorer.model import EVERY, NOTHING, Event, Footprint, Place, meet, union

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.explorer.model import Places, Point

#: Points that end a transaction.
ENDS = frozenset({"commit", "rollback"})
#: Statements that a transaction may begin with and still have no snapshot.
_BEFORE_SNAPSHOT: Final = re.compile(r"(?:\s+|/\*.*?\*/|--[^\n]*\n)*(?:LOCK|SET)\b", re.IGNORECASE | re.DOTALL)
#: In the locks of what can't be read: TRUNCATE, DDL and LOCK TABLE keep even readers out.
_SHUT: Final = Place(EVERY)
#: Locks of these may be a session's, which outlive its transactions.
_SESSIONS: Final = frozenset({"advisory", EVERY})


class Transactions:
    """One worker's, by session."""

    __slots__ = ("_early", "_kept", "_open", "_strict", "_worker")

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._open: dict[int, Footprint] = {}
        #: Sessions whose open transaction has no snapshot yet.
        self._early: set[int] = set()
        #: What may stay locked after a transaction's end.
        self._kept: Places = frozenset()
        self._strict = False

    def event(self, point: Point) -> Event:
        """Say what a step from `point` would be."""
        worker, kind, footprint = self._worker, point.kind, point.footprint
        strict = self._strict or point.strict
        if kind in ENDS:
            return Event(worker, kind, self._open.get(point.session, NOTHING), closes=True, strict=strict)
        if kind != "statement":
            return Event(worker, kind, footprint, strict=strict)
        if point.alone:
            return Event(worker, kind, footprint, closes=True, strict=strict)
        before = self._open.get(point.session)
        if before is None:
            return Event(worker, kind, footprint, opens=True, strict=strict)
        opens = point.session in self._early
        if point.frees:  # of all that it holds, nobody knows what
            return Event(worker, kind, union(before, footprint), opens, closes=True, before=before, strict=strict)
        return Event(worker, kind, footprint, opens, before=before, strict=strict)

    def crash(self) -> Event:
        """Say what it would be to lose every connection."""
        everything = union(self._all(), Footprint(locks=self._kept))
        return Event(self._worker, "crash", everything, closes=True, strict=self._strict)

    def failed(self, event: Event) -> Event:
        """Say what a step was whose statement ended with an error: the transaction's locks are free."""
        return event._replace(footprint=union(event.footprint, self._all()), closes=True)

    def take(self, point: Point) -> None:
        """Count a step as done."""
        self._strict = self._strict or point.strict
        if point.kind == "statement":
            if kept := _of_sessions(point.footprint):
                self._kept |= kept
            if not point.alone:
                self._hold(point)
        elif point.kind in ENDS:
            self._open.pop(point.session, None)
            self._early.discard(point.session)

    def _hold(self, point: Point) -> None:
        session = point.session
        known = self._open.get(session)
        if (known is None or session in self._early) and _BEFORE_SNAPSHOT.match(point.statement):
            self._early.add(session)
        else:
            self._early.discard(session)
        self._open[session] = point.footprint if known is None else union(known, point.footprint)

    def drop(self) -> None:
        """Forget everything: the worker has crashed or ended."""
        self._open.clear()
        self._early.clear()
        self._kept = frozenset()

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
            strict=event.strict or waiting.strict,
        )

    def _all(self) -> Footprint:
        whole = NOTHING
        for each in self._open.values():
            whole = union(whole, each)
        return whole


def _rows(places: Places) -> Places:
    """Leave out what is a whole table."""
    return frozenset([place for place in places if place.key != EVERY])


@lru_cache(4096)
def _of_sessions(footprint: Footprint) -> Places:
    """Give the locks that a transaction's end may not free."""
    return frozenset(
        [place for each in (footprint.locks, footprint.shares) for place in each if place.table in _SESSIONS]
    )


def stands_against(one: Footprint, other: Footprint) -> bool:
    """Say whether one may hold up the other: by its locks, or since one of them keeps even readers out."""
    return (
        crosses(one.locks, one.shares, other)
        or (bool(other.reads) and _SHUT in one.locks)
        or (bool(one.reads) and _SHUT in other.locks)
    )


def crosses(locks: Places, shares: Places, others: Footprint) -> bool:
    """Say whether locks stand against another's; two shares do not."""
    return meet(locks, others.locks) or meet(locks, others.shares) or meet(shares, others.locks)


def foreseen(events: Iterable[Event], by: Iterable[int], waiting: Footprint) -> bool:
    """Say whether what the workers `by` did so far explains that a statement waits for one of them."""
    holders = frozenset(by)
    return not holders or any(event.worker in holders and stands_against(event.footprint, waiting) for event in events)
