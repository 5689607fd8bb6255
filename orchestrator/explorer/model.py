"""What the explorer talks about: places, footprints, points, events, and one schedule's record."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

#: Where an object's default text names its place in memory, which no two runs share.
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")

#: As a key: every row of the table.  As a table: every table.
EVERY: Final = "*"


class Place(NamedTuple):
    """A row, a table, or whatever else two statements may meet at (an advisory lock, a sequence)."""

    table: str
    #: The primary key's value, or EVERY.
    key: object = EVERY


#: Places that a statement meets.
Places = frozenset[Place]


class Footprint(NamedTuple):
    """What a statement touches, rather too much than too little."""

    #: Read as of a snapshot: a conflict with the COMMIT of who wrote it.
    reads: Places = frozenset()
    #: Changed: seen by others from COMMIT on.
    writes: Places = frozenset()
    #: Locked from this statement on, until the transaction ends; every write is among them.
    locks: Places = frozenset()
    #: Locked so that others may share it, but nobody lock it (foreign keys, FOR SHARE).
    shares: Places = frozenset()


NOTHING: Final = Footprint()
_ALL: Final = frozenset([Place(EVERY)])
#: Of a statement that can't be read: it may be one that keeps even readers out.
EVERYTHING: Final = Footprint(_ALL, _ALL, _ALL)


def meet(some: Places, others: Places) -> bool:
    """Say whether any place of the one is, or holds, a place of the other."""
    if not some or not others:
        return False
    if not some.isdisjoint(others):
        return True
    for table, key in some:
        for table2, key2 in others:
            if EVERY in (table, table2) or (table == table2 and EVERY in (key, key2)):
                return True
    return False


def union(one: Footprint, other: Footprint) -> Footprint:
    """Put two footprints together."""
    return Footprint(
        one.reads | other.reads, one.writes | other.writes, one.locks | other.locks, one.shares | other.shares
    )


class Point(NamedTuple):
    """Where a worker stands: what it will do when it is next chosen."""

    #: "start", "statement", "commit", "rollback", or a point of the caller's own ("dequeue", "pause", "acknowledge").
    kind: str
    #: The statement's text, where there is one.
    statement: str = ""
    parameters: Any = None
    footprint: Footprint = NOTHING
    #: Which connection of the worker's; each has a transaction of its own.
    session: int = 0
    #: The statement is a transaction of its own (autocommit).
    alone: bool = False
    #: It may free locks though its transaction goes on (an advisory unlock, ROLLBACK TO).
    frees: bool = False
    #: Its transaction may be at another isolation level than the search reckons with.
    strict: bool = False


class Event(NamedTuple):
    """One step as far as other steps may depend on it."""

    worker: int
    kind: str
    #: The statement's own; of a COMMIT or ROLLBACK its whole transaction's.
    footprint: Footprint
    #: The transaction's first statement: it takes the snapshot.  Never of an autocommit statement.
    opens: bool = False
    #: What it wrote is seen and what it held is free after it: COMMIT, ROLLBACK, autocommit, an error.
    closes: bool = False
    #: What its transaction had touched before it, which is what a serializable database looks at.
    before: Footprint = NOTHING
    #: It was held up.
    waits: bool = False
    #: Workers whose statements, held up before, went on within this step; what those touch is this step's as well.
    wakes: tuple[int, ...] = ()
    #: The rules of the strictest level hold for it, whatever the search's level is.
    strict: bool = False


class Record:
    """What one step did, for listings and digests; filled in until the statement is answered."""

    __slots__ = ("answered", "blocked", "choice", "count", "error", "number", "point", "rows", "worker")

    def __init__(self, number: int, choice: int, worker: int, point: Point) -> None:
        #: The step's place in the schedule.
        self.number = number
        #: What the scheduler chose: the worker, or the worker plus the number of workers where it crashed.
        self.choice = choice
        self.worker = worker
        self.point = point
        #: The statement had to wait; `answered` is then a later step's number.
        self.blocked = False
        self.answered = number
        #: Rows read (as many as are worth showing), None where it reads none.
        self.rows: list[tuple[Any, ...]] | None = None
        #: Rows matched or read; -1 where that means nothing.
        self.count = -1
        #: The error's name and message, "" without one.
        self.error = ""

    def __repr__(self) -> str:
        """Show what a failing test needs."""
        end = self.error or self.count
        return f"<{self.number}: {self.worker} {self.point.kind} {self.point.statement!r} -> {end}>"


class Ending(NamedTuple):
    """How a worker's body ended."""

    #: What it returned, None where it raised.
    value: object = None
    #: The exception that came out of it.
    error: Exception | None = None

    @property
    def shown(self) -> str:
        """Say it in a few words, the same in every run."""
        return type(self.error).__name__ if self.error is not None else _ADDRESS.sub("", repr(self.value))


class Execution(NamedTuple):
    """One schedule, run to its end."""

    workers: int
    choices: tuple[int, ...]
    #: What could have been chosen at each step.
    ready: tuple[tuple[int, ...], ...]
    events: tuple[Event, ...]
    records: tuple[Record, ...]
    endings: tuple[Ending, ...]
    #: The rows at the end, by table; whatever the arena calls the state, as long as equal states are equal.
    state: Any = None
    #: Workers that waited for a lock that nobody left could free, and were told so.
    stuck: tuple[int, ...] = ()
    #: Steps whose statement waited for another worker though nothing that was known of the two explains it.
    unforeseen: tuple[int, ...] = ()
    #: It was ended at the limit of steps.
    cut: bool = False
