"""The worker's process as an exploration has it: slots are logical workers, statements steps, and time is virtual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from orchestrator.explorer.clock import VirtualClock
from orchestrator.explorer.hub import Deadlock
from orchestrator.explorer.model import Point
from orchestrator.explorer.scheduler import ExplorerError
from worker.contract import EndLine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.explorer.hub import Hub, Wait
    from orchestrator.explorer.model import Footprint
    from worker.contract import Line
    from worker.link import Link, Sending

    Read = Callable[[str, Mapping[str, Any]], tuple[str, Footprint]]
    Stand = Callable[[Point], None]

#: A slot's attempts are numbered from here times its place on, so that a schedule's order does not change them.
_TOKENS: Final = 10_000

#: Rows of a statement that are kept with its step.
_SHOWN: Final = 5


class Slots:
    """The runtime of one schedule's tasks, `begin` before each; keeps what a journal would."""

    def __init__(self, workers: int, link: Callable[[int], Link], read: Read, stand: Stand | None = None) -> None:
        """Take what gives a slot its link, and what says of a statement how to show it and what it touches.

        `stand` is who stands at a point for a driver that would otherwise do so itself.
        """
        self._workers = workers
        self._link = link
        self._read = read
        self._stand: Stand = stand or self._at_hub
        self._hub: Hub | None = None
        self.begin(None)

    def begin(self, hub: Hub | None) -> None:
        """Forget the schedule before."""
        self._hub = hub
        self.clock = VirtualClock()
        self.lines: list[Line] = []
        #: Per slot: how each operation that it was given ended.
        self.ends: list[list[str]] = [[] for _ in range(self._workers)]
        #: By token, of attempts that went on after it: when COMMIT was answered.
        self.committed: dict[int, int] = {}
        self._tokens = [place * _TOKENS for place in range(1, self._workers + 1)]
        self._sent = [""] * self._workers
        self._broken: ExplorerError | None = None

    def end(self) -> None:
        """End the schedule; raises what the explorer had to say against it."""
        self._hub = None
        if self._broken is not None:
            raise self._broken

    # what a link asks

    def sending(self, sending: Sending) -> int:
        """Stand before a statement, COMMIT or ROLLBACK until chosen, and give the time at which it is sent."""
        hub = self._hub
        if hub is not None and (slot := hub.current) is not None:
            if self._sent[slot] == "commit":
                self.committed[self._tokens[slot]] = self.clock.read()
            try:
                self._stand(self._point(sending))
            except ExplorerError as error:  # the task would take it for its own
                self._broken = error
                raise
            self._sent[slot] = sending.kind
        return self.clock.read()

    def _point(self, sending: Sending) -> Point:
        kind, text, params, alone = sending
        if kind != "statement":
            return Point(kind, text)
        text, footprint = self._read(text, params)
        return Point(kind, text, params, footprint, 0, alone)

    def answered(self, rows: Sequence[tuple[Any, ...]] | None, count: int, error: str) -> None:
        """Note what it gave."""
        if self._hub is not None:
            self._hub.answered(None if rows is None else list(rows[:_SHOWN]), count, error)

    def _at_hub(self, point: Point) -> None:
        if self._hub is not None:
            self._hub.stand(point)

    def block(self, wait: Wait) -> None:
        """Wait as the hub says."""
        if self._hub is None:
            raise Deadlock("blocked outside of a schedule: nobody else is there who could free the lock")
        self._hub.block(wait)

    # what a task asks

    def connect(self) -> Link:
        """Give the slot its own connection."""
        return self._link(self.slot())

    def journal(self, schema: str) -> Slots:  # noqa: ARG002 - one group
        """Keep the journal itself."""
        return self

    def write(self, line: Line) -> None:
        """Keep a line."""
        self.lines.append(line)
        if isinstance(line, EndLine) and line.final:
            self.ends[self.slot()].append(line.outcome if line.reason is None else f"{line.outcome}: {line.reason}")

    def tend(self, link: object, schema: str) -> None:
        """Do nothing: there is one clock."""

    def token(self) -> int:
        """Number a slot's attempts, whatever others do meanwhile."""
        slot = self.slot()
        self._tokens[slot] += 1
        return self._tokens[slot]

    def slot(self) -> int:
        """Name the logical worker that runs."""
        return 0 if self._hub is None else self._hub.current or 0

    def now(self) -> int:
        """Read the virtual clock."""
        return self.clock.read()

    def pause(self, seconds: float) -> None:
        """Let time pass, which costs nothing."""
        self.clock.reach(self.clock.read() + round(seconds * 1_000_000_000))
