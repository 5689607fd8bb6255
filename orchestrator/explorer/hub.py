"""The hub: logical workers as greenlets in one OS thread, one running at a time, a scheduler deciding which.

A worker runs from one switch point to the next without anybody else running.  So everything that
happens is decided by the choices, and the same choices make the same run again.
"""

from __future__ import annotations

from contextlib import ExitStack
from enum import Enum, auto
from typing import TYPE_CHECKING

from greenlet import GreenletExit, getcurrent, greenlet

from orchestrator.explorer.scheduler import ExplorerError, Point, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.scheduler import Scheduler

#: Kinds of points after which locks may be free: they wake every blocked worker, which then tries again.
FREEING = frozenset({"commit", "rollback"})


class Deadlock(ExplorerError):
    """Every worker that hasn't ended waits for another one, and nothing is left that could free it."""


class State(Enum):
    """What keeps a worker from running."""

    READY = auto()
    BLOCKED = auto()
    ENDED = auto()


class Hub:
    """Runs bodies step by step; `choices` is the schedule made so far."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.choices: list[int] = []
        self._scheduler = scheduler
        self._points: list[Point] = []
        self._states: list[State] = []
        self._running: int | None = None
        self._unwinding = False

    @property
    def current(self) -> int | None:
        """The worker that runs now; None outside of a run."""
        return self._running

    def run(self, bodies: Sequence[Callable[[], object]]) -> None:
        """Run every body to its end; a body's exception ends the run, unwinds the others and is raised here."""
        if self._points:
            raise ExplorerError("a hub runs once; make a new one for the next schedule")
        self._points = [Point("start")] * len(bodies)
        self._states = [State.READY] * len(bodies)
        here = getcurrent()
        workers = [greenlet(body, parent=here) for body in bodies]
        try:
            while ready := self._ready():
                self._step(workers, ready)
        finally:
            self._unwind(workers)

    def switch(self, kind: str, statement: str = "") -> None:
        """Stand before `statement` until chosen; outside of a run, and while it unwinds, nothing happens."""
        if self._running is None or self._unwinding:
            return
        self._points[self._running] = Point(kind, statement)
        self._leave()

    def block(self) -> None:
        """Wait until another worker has committed, rolled back or ended; the caller then tries again."""
        if self._running is None:
            raise Deadlock("blocked outside of a run: nobody else is there who could free the lock")
        if self._unwinding:
            raise GreenletExit
        self._states[self._running] = State.BLOCKED
        self._leave()

    def _leave(self) -> None:
        """Hand the thread to the hub; returns when this worker is chosen again."""
        hub = getcurrent().parent
        if hub is None:
            raise ExplorerError("a worker of the hub was left in a greenlet that the hub didn't start")
        hub.switch()

    def _ready(self) -> list[int]:
        """Who may be chosen; empty only when everybody has ended."""
        ready = [worker for worker, state in enumerate(self._states) if state is State.READY]
        if not ready and State.BLOCKED in self._states:
            waiting = "; ".join(
                f"worker {worker} before {self._points[worker].statement or self._points[worker].kind}"
                for worker, state in enumerate(self._states)
                if state is State.BLOCKED
            )
            raise Deadlock(f"nobody can run, everybody left is blocked: {waiting}")
        return ready

    def _step(self, workers: Sequence[greenlet], ready: Sequence[int]) -> None:
        """Let one chosen worker run to its next point."""
        last = self.choices[-1] if self.choices else None
        chosen = self._scheduler.choose(ready, Step(len(self.choices), last, self._points))
        self.choices.append(chosen)
        before = self._points[chosen]
        self._running = chosen
        try:
            workers[chosen].switch()
        finally:
            self._running = None
        if workers[chosen].dead:
            self._states[chosen] = State.ENDED
        if before.kind in FREEING or workers[chosen].dead:
            self._wake()

    def _wake(self) -> None:
        """Make everybody who is blocked try again."""
        self._states = [State.READY if state is State.BLOCKED else state for state in self._states]

    def _unwind(self, workers: Sequence[greenlet]) -> None:
        """End the workers that were left in the middle: their `finally` blocks run, and nobody switches any more."""
        self._unwinding = True
        with ExitStack() as each:  # an exception in one worker's `finally` must not keep the others from theirs
            for number in reversed(range(len(workers))):
                each.callback(self._throw, number, workers[number])

    def _throw(self, number: int, worker: greenlet) -> None:
        """End one worker where it stands."""
        self._running = number
        try:
            while not worker.dead:
                worker.throw(GreenletExit)
        finally:
            self._running = None
