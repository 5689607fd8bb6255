"""The hub: logical workers, one running at a time, a scheduler deciding which.

A worker runs from one switch point to the next without anybody else running.  So everything that
happens is decided by the choices, and the same choices make the same run again.
"""

from __future__ import annotations

from contextlib import ExitStack
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol

from greenlet import GreenletExit

from orchestrator.explorer.model import Ending, Execution, Point, Record
from orchestrator.explorer.scheduler import ExplorerError, Step
from orchestrator.explorer.transactions import Transactions, foreseen, stands_against
from orchestrator.explorer.workers import GreenWorker, ThreadWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.model import Event, Footprint
    from orchestrator.explorer.scheduler import Scheduler
    from orchestrator.explorer.workers import Life, Worker

_START = Point("start")
#: Points after which a worker that crashes has done something that its next delivery may meet.
_CRASHABLE = frozenset({"statement", "commit", "acknowledge"})


class Deadlock(ExplorerError):
    """Every worker that hasn't ended waits for another one, and nothing is left that could free it."""


class Crash(BaseException):
    """Raised in a worker that the scheduler lets crash; its connections are gone, and its message comes again."""


class Wait(Protocol):
    """A statement that the database has not answered."""

    def over(self) -> bool:
        """Say whether to let the worker go on; False only where the database says that it is still blocked."""

    def by(self) -> Sequence[int]:
        """Name the workers that it waits for, as far as the database says."""

    def cancel(self, why: str) -> None:
        """End the waiting with an error, for `why`: "deadlock" or "stuck"."""


class State(Enum):
    """What keeps a worker from running."""

    READY = auto()
    BLOCKED = auto()
    ENDED = auto()


class _Slot:
    """A worker as the hub sees it."""

    __slots__ = ("crashing", "ending", "error", "point", "record", "state", "touched", "transactions", "wait", "worker")

    def __init__(self, number: int) -> None:
        self.worker: Worker
        self.point = _START
        self.state = State.READY
        self.wait: Wait | None = None
        self.record: Record | None = None
        self.transactions = Transactions(number)
        self.ending = Ending()
        #: An exception that ends the whole run.
        self.error: BaseException | None = None
        self.crashing = False
        #: It has sent something since its message was delivered.
        self.touched = False


class Hub:
    """Runs bodies step by step, once; `choices` is the schedule made so far."""

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        crashes: int = 0,
        crash: Callable[[int], None] = lambda _worker: None,
        threads: bool = False,
        catch: bool = False,
        limit: int = 0,
    ) -> None:
        """Take crashes that the scheduler may choose, what cuts a crashed worker's connections, and a limit of steps.

        With `catch` a body's exception is its ending; without, it ends the run and is raised by `run`.
        """
        self.choices: list[int] = []
        self.records: list[Record] = []
        self._scheduler = scheduler
        self._crashes, self._cut_off = crashes, crash
        self._make: Callable[[Life], Worker] = ThreadWorker if threads else GreenWorker
        self._catch, self._limit = catch, limit
        self._slots: list[_Slot] = []
        #: Where each worker stands.
        self._points: list[Point] = []
        self._blocked: list[int] = []
        #: Who neither waits nor has ended; None where that has changed.
        self._running: tuple[int, ...] | None = None
        self._offered: list[tuple[int, ...]] = []
        self._events: list[Event] = []
        self._stuck: list[int] = []
        self._unforeseen: list[int] = []
        #: The worker that runs now; None outside of a run.
        self.current: int | None = None
        self._unwinding = False
        self._started = False

    @property
    def crashing(self) -> bool:
        """Whether the running worker is to unwind from a crash: nothing that it does is to reach the database."""
        return self.current is not None and self._slots[self.current].crashing

    def run(self, bodies: Sequence[Callable[[], object]]) -> Execution:
        """Run every body to its end, or to the limit of steps; each first runs to its first point, in order."""
        if self._started:
            raise ExplorerError("a hub runs once; make a new one for the next schedule")
        self._started = True
        self._slots = [_Slot(number) for number in range(len(bodies))]
        self._points = [_START] * len(bodies)
        self._seen = Step(0, None, self._points, self._events, self._pending, self._unforeseen)
        cut = False
        try:
            for slot, body in zip(self._slots, bodies, strict=True):
                slot.worker = self._make(self._life(slot, body))
            for number in range(len(bodies)):
                self._resume(number)
            while ready := self._ready():
                if self._limit and len(self.choices) >= self._limit:
                    cut = True
                    break
                self._step(ready)
        finally:
            self._unwind()
            del self._seen  # it leads back here
        return self._execution(cut=cut)

    def switch(self, kind: str, statement: str = "", **point: Any) -> None:  # noqa: ANN401 - a point's own fields
        """Stand before a step until chosen; outside of a run, and while it unwinds, nothing happens."""
        self.stand(Point(kind, statement, **point))

    def stand(self, point: Point) -> None:
        """Stand at a point until chosen; raises Crash where the scheduler chose that."""
        number = self.current
        if number is None or self._unwinding:
            return
        slot = self._slots[number]
        if slot.crashing:
            raise Crash
        slot.point = self._points[number] = point
        slot.worker.leave()
        if slot.crashing:
            raise Crash

    def block(self, wait: Wait | None = None) -> None:
        """Wait until the database has answered, or until something was freed; the caller then tries again."""
        number = self.current
        if number is None:
            raise Deadlock("blocked outside of a run: nobody else is there who could free the lock")
        if self._unwinding:
            raise GreenletExit
        slot = self._slots[number]
        slot.state, slot.wait, self._running = State.BLOCKED, wait, None
        self._blocked.append(number)
        slot.worker.leave()

    def answered(self, rows: list[tuple[Any, ...]] | None = None, count: int = -1, error: str = "") -> None:
        """Note what the running worker's statement gave."""
        if self.current is not None and (record := self._slots[self.current].record) is not None:
            record.rows, record.count, record.error = rows, count, error
            record.answered = len(self.choices) - 1

    def delivered(self) -> None:
        """Say that the running worker's message was just delivered: until it sends something it need not crash."""
        if self.current is not None:
            slot = self._slots[self.current]
            slot.touched = slot.crashing = False

    # what the hub does between the workers' steps

    def _life(self, slot: _Slot, body: Callable[[], object]) -> Life:
        def life() -> None:
            try:
                slot.ending = Ending(body())
            except GreenletExit:
                return
            except Exception as error:  # noqa: BLE001 - a finding, or raised by the hub
                slot.ending = Ending(error=error)
                slot.error = None if self._catch and not isinstance(error, ExplorerError) else error
            except BaseException as error:  # noqa: BLE001 - carried over to the hub, which raises it
                slot.error = error

        return life

    def _ready(self) -> tuple[int, ...]:
        """Who may be chosen; empty only when everybody has ended."""
        slots = self._slots
        ready = self._running
        if ready is None:
            ready = self._running = tuple(number for number, slot in enumerate(slots) if slot.state is State.READY)
        if self._blocked:
            if not ready:
                self._give_up()
                return self._ready()
            ready = self._held_back(ready)
        if self._crashes:
            able = (each for each in ready if slots[each].touched and slots[each].point.kind in _CRASHABLE)
            ready = (*ready, *(number + len(slots) for number in able))
        return ready

    def _held_back(self, ready: tuple[int, ...]) -> tuple[int, ...]:
        """Leave out who would queue behind a waiter: the server does not promise who of two goes first.

        Where that is everybody, those go on who are in a waiter's way: they end, or they close a circle.
        """
        waiting = [(self._slots[number].point.footprint, self._in_the_way(number)) for number in self._blocked]
        free = tuple(number for number in ready if not any(self._queues(number, *each) for each in waiting))
        return free or tuple(number for number in ready if any(number in by for _, by in waiting)) or ready

    def _queues(self, number: int, waiting: Footprint, by: set[int]) -> bool:
        """Say whether a worker would; of those whom the database does not name, locks of whole tables prove nothing."""
        slot = self._slots[number]
        return slot.transactions.queues(slot.point, waiting, sure=not by or number in by)

    def _give_up(self) -> None:
        """Tell the first of those who wait for nobody that is left."""
        number = self._blocked[0]
        slot = self._slots[number]
        if slot.wait is None:
            points = [(each, self._slots[each].point) for each in sorted(self._blocked)]
            waiting = "; ".join(f"worker {each} before {point.statement or point.kind}" for each, point in points)
            raise Deadlock(f"nobody can run, everybody left is blocked: {waiting}")
        self._stuck.append(number)
        self._cancel(number, "stuck")

    def _cancel(self, number: int, why: str) -> None:
        slot = self._slots[number]
        if slot.wait is None:
            raise ExplorerError(f"worker {number} can't be cancelled")
        slot.wait.cancel(why)
        self._resume(number)
        self._settle()

    def _step(self, ready: tuple[int, ...]) -> None:
        """Let one chosen worker run to its next point."""
        seen = self._seen
        step = seen.number = len(self.choices)
        chosen = self._scheduler.choose(ready, seen)
        seen.last = chosen
        number = chosen % len(self._slots)
        slot = self._slots[number]
        point, event = slot.point, self._pending(chosen)
        self.choices.append(chosen)
        self._offered.append(ready)
        self._events.append(event)
        record = slot.record = Record(step, chosen, number, point)
        self.records.append(record)
        if chosen != number:
            self._crash(number)
            return
        slot.transactions.take(point)
        slot.touched = slot.touched or point.kind == "statement"
        self._resume(number)
        if slot.state is State.BLOCKED:
            record.blocked = True
            self._events[-1] = event._replace(waits=True)
            if slot.wait is not None and not foreseen(self._events[:-1], slot.wait.by(), event.footprint):
                self._unforeseen.append(step)
            if self._cycle(number):
                self._cancel(number, "deadlock")
            return
        if record.error or (slot.state is State.ENDED and slot.transactions.any):
            self._events[-1] = slot.transactions.failed(event)
        if self._blocked and (event.closes or record.error or point.frees or slot.state is State.ENDED):
            self._settle()

    def _pending(self, choice: int) -> Event:
        """Say what a choice would do, as far as it can be told before."""
        number = choice % len(self._slots)
        slot = self._slots[number]
        return slot.transactions.event(slot.point) if choice == number else slot.transactions.crash()

    def _crash(self, number: int) -> None:
        """Let a worker die where it stands; whoever runs it delivers its message again."""
        slot = self._slots[number]
        self._crashes -= 1
        self._cut_off(number)
        slot.transactions.drop()
        slot.crashing = True
        self._resume(number)
        self._settle()

    def _resume(self, number: int) -> None:
        """Run one worker until it leaves."""
        slot = self._slots[number]
        waited = slot.state is State.BLOCKED
        if waited:  # unless it blocks again, it is answered
            slot.state, slot.wait, self._running = State.READY, None, None
            self._blocked.remove(number)
        self.current = number
        try:
            over = slot.worker.step()
        finally:
            self.current = None
        if over:
            slot.state, self._running = State.ENDED, None
            if slot.error is not None:
                raise slot.error
        if waited and slot.state is not State.BLOCKED:
            self._join(slot, went_on=True)

    def _join(self, slot: _Slot, *, went_on: bool = False) -> None:
        """Count what a waiting statement does now to the last step: one that freed what it wants."""
        record = slot.record
        if record is None:
            return
        last, waiting = self._events[-1], self._events[record.number]
        failed = went_on and bool(record.error or (slot.state is State.ENDED and slot.transactions.any))
        if record.number == len(self._events) - 1:  # its own step, ended by an error or not at all
            self._events[-1] = slot.transactions.failed(last) if failed else last
            return
        freed = went_on or stands_against(last.footprint, waiting.footprint)
        if failed or (freed and record.worker not in last.wakes):
            self._events[-1] = slot.transactions.woken(last, waiting, failed=failed)

    def _settle(self) -> None:
        """Go on until each blocked worker has its answer or is known to wait still."""
        for number in self._blocked:
            self._join(self._slots[number])
        again = True
        while again:
            again = False
            for number in tuple(self._blocked):
                slot = self._slots[number]
                if slot.state is State.BLOCKED and (slot.wait is None or slot.wait.over()):
                    self._resume(number)
                    again = again or slot.state is not State.BLOCKED
        for number in tuple(self._blocked):
            if self._slots[number].state is State.BLOCKED and self._cycle(number):
                self._cancel(number, "deadlock")

    def _cycle(self, number: int) -> bool:
        """Say whether a worker waits, over others that wait, for itself."""
        return number in self._in_the_way(number)

    def _in_the_way(self, number: int) -> set[int]:
        """Name the workers that one waits for, over others that wait."""
        found: set[int] = set()
        todo = [number]
        while todo:
            slot = self._slots[todo.pop()]
            for each in slot.wait.by() if slot.wait is not None else ():
                if each not in found:
                    found.add(each)
                    todo.append(each)
        return found

    def _execution(self, *, cut: bool) -> Execution:
        return Execution(
            workers=len(self._slots),
            choices=tuple(self.choices),
            ready=tuple(self._offered),
            events=tuple(self._events),
            records=tuple(self.records),
            endings=tuple(slot.ending for slot in self._slots),
            stuck=tuple(self._stuck),
            unforeseen=tuple(self._unforeseen),
            cut=cut,
        )

    def _unwind(self) -> None:
        """End the workers that were left in the middle: their `finally` blocks run, and nobody switches any more."""
        self._unwinding = True
        if all(slot.state is State.ENDED for slot in self._slots):
            return
        with ExitStack() as each:  # an exception in one worker's `finally` must not keep the others from theirs
            for number in reversed(range(len(self._slots))):
                each.callback(self._throw, number)

    def _throw(self, number: int) -> None:
        """End one worker where it stands."""
        slot = self._slots[number]
        if not hasattr(slot, "worker"):
            return
        self.current = number
        try:
            slot.worker.end()
        finally:
            self.current = None
