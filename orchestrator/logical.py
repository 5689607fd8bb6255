"""Eager mode's stand-ins: the broker's queue and the worker's process, for logical workers on a virtual clock."""

from __future__ import annotations

import heapq
import os
import platform
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np

from orchestrator.explorer.model import Point
from worker.contract import COUNTER_BITS, ClockLine, EndLine, ProcessLine
from worker.sqlite import Hooks, SqliteLink, connect

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.explored_postgres import PostgresWorkers
    from orchestrator.explorer.clock import VirtualClock
    from orchestrator.explorer.hub import Hub
    from orchestrator.progress import Progress
    from orchestrator.publish import Message
    from worker.contract import Line
    from worker.link import Link, Sending

#: The one process's number, the same in every run so that tokens are too.
_PROCESS: Final = 1

#: Rows of a statement that are kept with its step.
_SHOWN: Final = 5


class Delivery(NamedTuple):
    """A message on its way to a logical worker; the earliest is the least."""

    due_ns: int
    number: int
    id: str
    kwargs: dict[str, Any]
    #: Retries before this one.
    retries: int


class Queue:
    """The broker's part: the plan's messages in order, and retries once they are due."""

    def __init__(self, stream: Iterable[Message], planned: int, hub: Hub, clock: VirtualClock) -> None:
        #: Per operation: it was published, which here is when its message is taken.
        self.confirmed: NDArray[np.bool_] = np.zeros(planned, dtype=np.bool_)
        self.published = 0
        self._stream = iter(stream)
        self._hub = hub
        self._clock = clock
        self._again: list[Delivery] = []
        self._numbers = count()

    def take(self) -> Delivery | None:
        """Give a retry that is due, else the plan's next message, else wait for the next retry; None: nothing left."""
        if self._again and self._again[0].due_ns <= self._clock.read():
            return heapq.heappop(self._again)
        if message := next(self._stream, None):
            self.confirmed[message.first : message.end] = True
            self.published += message.end - message.first
            return Delivery(0, next(self._numbers), message.id, msgspec.json.decode(message.body)[1], 0)
        if not self._again:
            return None
        self._clock.reach(self._again[0].due_ns)
        return heapq.heappop(self._again)

    def put(self, *, kwargs: dict[str, Any], task_id: str, countdown: float, retries: int, **_options: object) -> None:
        """Take a message that the task publishes for its own retry, as `apply_async` would."""
        self._hub.switch("retry", task_id)
        due = self._clock.read() + _nanoseconds(countdown)
        wire = msgspec.json.decode(msgspec.json.encode(kwargs))
        heapq.heappush(self._again, Delivery(due, next(self._numbers), task_id, wire, retries))


class Links(Protocol):
    """The workers' links, a connection each."""

    def under(self, process: LogicalProcess, hub: Hub) -> None:
        """Make what is sent this hub's steps."""

    def link(self, slot: int) -> Link:
        """Give a slot its own."""

    def close(self) -> None:
        """Close every connection; when it returns, what was open is rolled back."""


class SqliteLinks:
    """Links to a database file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[int, tuple[sqlite3.Connection, SqliteLink]] = {}
        self._hooks: Hooks

    def under(self, process: LogicalProcess, hub: Hub) -> None:
        """Make what is sent this hub's steps."""

        def sending(sending: Sending) -> None:
            hub.stand(Point(sending.kind, sending.text, alone=sending.alone))

        self._hooks = Hooks(sending, hub.block, count(1).__next__, process.now, process.answered)

    def link(self, slot: int) -> SqliteLink:
        """Give a slot its own."""
        if slot not in self._open:
            connection = connect(self._path)
            self._open[slot] = connection, SqliteLink(connection, self._hooks)
        return self._open[slot][1]

    def close(self) -> None:
        """Close every connection, which rolls back what is open."""
        while self._open:
            self._open.popitem()[1][0].close()


class PostgresLinks:
    """Links to a schema, whose driver is under control."""

    def __init__(self, workers: PostgresWorkers, slots: int) -> None:
        self._workers = workers
        self._slots = slots
        self._process: LogicalProcess

    def under(self, process: LogicalProcess, hub: Hub) -> None:
        """Make what is sent this hub's steps."""
        self._process = process
        self._workers.database.under(hub)

    def link(self, slot: int) -> Link:
        """Give a slot its own."""
        return self._workers.link(slot, self._sending)

    def close(self) -> None:
        """Let the driver go on by itself, and end the workers' backends."""
        self._workers.database.under(None)
        for slot in range(self._slots):
            self._workers.crash(slot)

    def _sending(self, sending: Sending) -> int:
        if sending.kind == "statement":
            text, footprint, _ = self._workers.read(sending.text, sending.params)
            point = Point(sending.kind, text, sending.params, footprint, alone=sending.alone)
        else:
            point = Point(sending.kind, sending.text)
        self._workers.database.announce(point)
        return self._process.now()


class LogicalProcess:
    """The worker's runtime here: its slots are the hub's workers, a connection each, on the virtual clock."""

    def __init__(self, links: Links, hub: Hub, clock: VirtualClock, progress: Progress) -> None:
        self._links = links
        self._hub = hub
        self._clock = clock
        self._progress = progress
        self._encoder = msgspec.json.Encoder()
        self._counter = count(1)
        #: By token, of attempts that ended: when.
        self.ends: dict[int, int] = {}
        links.under(self, hub)

    def connect(self) -> Link:
        """Give the slot its own connection."""
        return self._links.link(self.slot())

    def answered(self, rows: Sequence[tuple[Any, ...]] | None, count: int, error: str) -> None:
        """Note with its step what a statement gave."""
        self._hub.answered(None if rows is None else list(rows[:_SHOWN]), count, error)

    def journal(self, schema: str) -> LogicalProcess:  # noqa: ARG002 - one group at a time
        """Keep the journal itself."""
        return self

    def write(self, line: Line) -> None:
        """Hand a line on, as the orchestrator would read it from the journal's table."""
        if isinstance(line, EndLine):
            self.ends[line.token] = line.mono_ns
        self._progress.feed("eager", self._encoder.encode(line) + b"\n")

    def tend(self, link: object, schema: str) -> None:
        """Do nothing: the process's clock is the database's."""

    def token(self) -> int:
        """Number attempts in the order of the schedule."""
        return _PROCESS << COUNTER_BITS | next(self._counter)

    def slot(self) -> int:
        """Name the logical worker that runs."""
        return self._hub.current or 0

    def now(self) -> int:
        """Read the virtual clock."""
        return self._clock.read()

    def pause(self, seconds: float) -> None:
        """Let others run; when this worker is chosen again, the time has passed."""
        due = self._clock.read() + _nanoseconds(seconds)
        self._hub.switch("pause")
        self._clock.reach(due)

    def introduce(self) -> None:
        """Write the lines that every journal begins with; there is one clock, so its offset is none."""
        self.write(ProcessLine(_PROCESS, "eager", platform.node(), os.getpid(), "greenlets"))
        self.write(ClockLine(self._clock.read(), 0, 0))

    def close(self) -> None:
        """Close every connection, which rolls back what is open."""
        self._links.close()


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
