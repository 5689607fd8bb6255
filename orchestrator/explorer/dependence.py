"""Which two steps may not change places, under multiversion concurrency control.

Two steps of different workers are independent when, whatever the state, both orders lead to the same state and give
both the same answers.  What can't be told is dependent: that costs schedules, never findings.

Under MVCC a plain read sees what was committed, so it conflicts with the COMMIT that publishes a row and not with the
statement that writes it; writes meet at their locks.  The rules for SERIALIZABLE follow from serializable snapshot
isolation as PostgreSQL has it (Cahill, Röhm, Fekete 2008; Ports and Grittner 2012).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.explorer.model import EVERY, meet
from orchestrator.explorer.transactions import stands_against

if TYPE_CHECKING:
    from orchestrator.explorer.model import Event, Footprint, Places

#: Where a transaction's first statement decides what all its reads see.
_SNAPSHOT: Final = frozenset({"repeatable read", "serializable", "sqlite"})
#: Kinds that end a transaction without anything of it ever being seen.
_UNDOES: Final = frozenset({"rollback", "crash"})
_ENDS: Final = frozenset({"commit", *_UNDOES})


def dependent(a: Event, b: Event, isolation: str) -> bool:
    """Say whether the order of two steps may matter."""
    return (
        a.worker == b.worker
        # who waits last closes the circle and is the deadlock's victim; who waited first gives up first
        or (a.waits and b.waits)
        # one uses up the crash that the other would be
        or (a.kind == "crash" and b.kind == "crash")
        # two requests of a lock, a request and a release, or two COMMITs whose deferred checks meet
        or stands_against(a.footprint, b.footprint)
        or _sees(a, b, isolation)
        or _sees(b, a, isolation)
        or (_serializable(a, isolation) and _serializable(b, isolation) and _tracked(a, b))
    )


def _sees(reader: Event, writer: Event, isolation: str) -> bool:
    """Say whether the one may read what the other publishes, now or later in its transaction."""
    written = writer.footprint.writes
    if not written or not _reads(reader) or not _publishes(writer):
        return False
    if reader.opens and (reader.strict or isolation in _SNAPSHOT):
        return True
    return meet(reader.footprint.reads, written) or meet(reader.footprint.shares, written)


def _reads(event: Event) -> bool:
    """Say whether a step is, or lets go on, a statement."""
    return event.kind == "statement" or bool(event.wakes)


def _publishes(event: Event) -> bool:
    """Say whether what was written may be seen from this step on; of an error it is not known whether it was one."""
    return event.closes and (event.kind not in _UNDOES or bool(event.wakes))


def _serializable(event: Event, isolation: str) -> bool:
    """Say whether the server may watch what the step's transaction reads."""
    return event.strict or isolation == "serializable"


def _tracked(a: Event, b: Event) -> bool:
    """Say whether the server's search for dangerous structures may go another way.

    A pivot is told when it next sends anything, so between transactions that overlap every step counts; predicate
    locks may be as coarse as a table, so does the overlap.  Of three transactions in a row the order in which the
    first and the third end counts, though these two need not overlap.
    """
    if not _in_transaction(a) or not _in_transaction(b):
        return False
    touched_a, written_a = _tables(a)
    touched_b, written_b = _tables(b)
    if _ends(a) and _ends(b):
        return bool((touched_a and written_b) or (written_a and touched_b))
    return _overlap(touched_a, written_b) or _overlap(written_a, touched_b)


def _in_transaction(event: Event) -> bool:
    return event.kind in _ENDS or _reads(event)


def _ends(event: Event) -> bool:
    return event.closes or event.kind in _ENDS


def _tables(event: Event) -> tuple[set[str], set[str]]:
    """Give the tables that a step's transaction has touched and written, as far as it had come."""
    now, before = event.footprint, event.before
    written = _named(now.writes, before.writes)
    return written | _touched(now) | _touched(before), written


def _touched(footprint: Footprint) -> set[str]:
    return _named(footprint.reads, footprint.locks, footprint.shares)


def _named(*places: Places) -> set[str]:
    return {table for each in places for table, _ in each}


def _overlap(some: set[str], others: set[str]) -> bool:
    if not some or not others:
        return False
    return EVERY in some or EVERY in others or not some.isdisjoint(others)


class Dependence:
    """`dependent` at one level, remembered: events are numbered, and each pair of numbers is looked at once."""

    __slots__ = ("_events", "_known", "_numbers", "isolation")

    def __init__(self, isolation: str) -> None:
        self.isolation = isolation
        self._numbers: dict[Event, int] = {}
        self._events: list[Event] = []
        self._known: list[dict[int, bool]] = []

    def number(self, event: Event) -> int:
        """Give an event's number; equal events have one."""
        number = self._numbers.get(event)
        if number is None:
            number = self._numbers[event] = len(self._events)
            self._events.append(event)
            self._known.append({})
        return number

    def __call__(self, a: int, b: int) -> bool:
        """Say whether the events of two numbers depend on each other."""
        known = self._known[a].get(b)
        if known is None:
            known = dependent(self._events[a], self._events[b], self.isolation)
            self._known[a][b] = self._known[b][a] = known
        return known
