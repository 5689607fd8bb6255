"""Eager mode's stand-ins: the broker's queue and the worker's process, for logical workers on a virtual clock."""

from __future__ import annotations

import heapq
import os
import platform
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from worker.contract import COUNTER_BITS, ClockLine, ProcessLine
from worker.sqlite import Hooks, SqliteLink, connect

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.explorer.clock import VirtualClock
    from orchestrator.explorer.hub import Hub
    from orchestrator.progress import Progress
    from orchestrator.publish import Message
    from worker.contract import Line

#: The one process's number, the same in every run so that tokens are too.
_PROCESS: Final = 1


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


class LogicalProcess:
    """The worker's runtime here: its slots are the hub's workers, a connection each, on the virtual clock."""

    def __init__(self, path: Path, hub: Hub, clock: VirtualClock, progress: Progress) -> None:
        self._path = path
        self._hub = hub
        self._clock = clock
        self._progress = progress
        self._encoder = msgspec.json.Encoder()
        self._counter = count(1)
        self._open: dict[int, tuple[sqlite3.Connection, SqliteLink]] = {}
        self._hooks = Hooks(hub.switch, hub.block, count(1).__next__, clock.read)

    def connect(self) -> SqliteLink:
        """Give the slot its own connection."""
        slot = self.slot()
        if slot not in self._open:
            connection = connect(self._path)
            self._open[slot] = connection, SqliteLink(connection, self._hooks)
        return self._open[slot][1]

    def journal(self, schema: str) -> LogicalProcess:  # noqa: ARG002 - one group at a time
        """Keep the journal itself."""
        return self

    def write(self, line: Line) -> None:
        """Hand a line on, as the orchestrator would read it from the journal's table."""
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
        while self._open:
            self._open.popitem()[1][0].close()


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
