"""Strikes by a plan while a race goes on, and heals everything that it struck."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from orchestrator.errors import OrchestratorError
from orchestrator.faults import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchestrator.faults.model import Fault, Kind, Planned, Reach

#: A fault that found nothing to strike, and strikes once, tries again after so many seconds.
_AGAIN: Final = 0.5
#: How long a strike under way may take once the race is over, seconds.
_PATIENCE: Final = 60.0


class Strike(NamedTuple):
    """One strike, on the database's clock."""

    name: str
    struck_us: int
    #: None: not healed, which is a gap.
    healed_us: int | None
    detail: str


class _Plan(msgspec.Struct, eq=False):
    """One entry of the plan, and how far it is."""

    planned: Planned
    fault: Fault
    #: Seconds until a strike is healed; None: at the end.
    duration: float | None
    #: Strikes left; None: no end.
    left: int | None
    done: int = 0
    #: Pauses of `every` from the first time to the one that is due.
    slot: int = 0


class _Force(msgspec.Struct, eq=False):
    """A strike that is in force until it is healed."""

    plan: _Plan
    struck_us: int
    detail: str
    heal: Callable[[], None]
    #: Somebody is healing it.
    taken: bool = False


class Striker:
    """A thread that strikes from `start` to `stop`; what can't be struck here is refused when it is made."""

    def __init__(
        self,
        planned: Iterable[Planned],
        reach: Reach,
        clock: Callable[[], int],
        *,
        known: Mapping[str, Kind] = KNOWN,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
        told: Callable[[Strike], None] = lambda _strike: None,
    ) -> None:
        """`clock` reads the database's clock, microseconds; `wait` lets time pass, and is true once it is to end.

        `told` hears of a strike as it happens, and again once it is healed.
        """
        self._plans = [plan for each in planned if (plan := _made(each, reach, known)) is not None]
        self._clock, self._now, self._told = clock, now, told
        self._ended = threading.Event()
        self._wait = wait or self._ended.wait
        self._thread = threading.Thread(target=self._run, name="rowrace striker", daemon=True)
        self._lock = threading.Lock()
        #: Whoever stops returns only when all is healed.
        self._stopping = threading.Lock()
        #: What is due when: a plan to strike, or a strike to heal; the number keeps equal times in order.
        self._due: list[tuple[float, int, _Plan | _Force]] = []
        self._numbers = itertools.count()
        self._force: list[_Force] = []
        self._strikes: list[Strike] = []
        self._gaps: list[str] = []
        #: No plan will strike any more.
        self._calm = not self._plans
        #: `stop` is over, though a strike did not come to an end: it must heal itself.
        self._left_behind = False
        self._began = 0.0

    def start(self) -> None:
        """Begin to strike; what is planned at 0 s has struck when this returns, so that nothing has happened before."""
        self._began = self._now()
        for plan in self._plans:
            if plan.planned.at > 0:
                self._schedule(self._began + plan.planned.at, plan)
            else:
                self._strike(plan)
        self._thread.start()

    def stop(self) -> None:
        """Strike no more, and heal what is in force, the last strike first; may be called again, by any thread."""
        self._ended.set()
        with self._stopping:
            if self._thread.ident is not None:
                self._thread.join(_PATIENCE)
                if self._thread.is_alive() and not self._left_behind:
                    self._left_behind = True
                    self._gap("A strike did not come to an end: what it broke may not be healed.")
            while (force := self._latest()) is not None:
                self._heal(force)
            self._calm = True

    def strikes(self) -> list[Strike]:
        """List what was struck, in the order of striking."""
        with self._lock:
            open_ = [Strike(each.plan.planned.name, each.struck_us, None, each.detail) for each in self._force]
            return sorted([*self._strikes, *open_], key=lambda each: each.struck_us)

    def gaps(self) -> list[str]:
        """Say what could not be struck or healed."""
        with self._lock:
            return list(self._gaps)

    def unstruck(self) -> list[str]:
        """List the plan's entries that never struck: the race was over first, or there was nothing to strike."""
        return [each.planned.text for each in self._plans if not each.done]

    def quiet(self) -> bool:
        """Say whether nothing is in force, and nothing will be any more."""
        with self._lock:
            return self._calm and not self._force

    def _run(self) -> None:
        while self._due:
            pause = self._due[0][0] - self._now()
            if pause > 0:
                if self._wait(pause):
                    return
                continue
            if self._ended.is_set():
                return
            _, _, what = heapq.heappop(self._due)
            if isinstance(what, _Plan):
                self._strike(what)
            else:
                self._heal(what)
        self._calm = True

    def _strike(self, plan: _Plan) -> None:
        """Strike once; the next time is set whatever comes of it."""
        struck_us = self._clock()
        try:
            struck = plan.fault.strike()
        except Exception as error:  # noqa: BLE001 - whatever a fault meets, the others go on
            self._gap(f"Fault «{plan.planned.text}» could not strike: {_why(error)}")
            self._next(plan, used=True)
            return
        if struck is None:
            self._next(plan, used=False)
            return
        plan.done += 1
        if struck.heal is None:
            strike = Strike(plan.planned.name, struck_us, self._clock(), struck.detail)
            with self._lock:
                self._strikes.append(strike)
            self._told(strike)
        else:
            self._hold(_Force(plan, struck_us, struck.detail, struck.heal))
        self._next(plan, used=True)

    def _hold(self, force: _Force) -> None:
        """Keep a strike in force until its time is up, or all is over."""
        with self._lock:
            self._force.append(force)
        self._told(Strike(force.plan.planned.name, force.struck_us, None, force.detail))
        if self._left_behind:
            self._heal(force)
        elif force.plan.duration is not None:
            self._schedule(self._now() + force.plan.duration, force)

    def _next(self, plan: _Plan, *, used: bool) -> None:
        """Set the next time, on the grid of `every`: times that passed during a long strike are not made up for."""
        if used and plan.left is not None:
            plan.left -= 1
        if plan.left == 0:
            return
        every, first = plan.planned.every or _AGAIN, self._began + plan.planned.at
        plan.slot = max(plan.slot, int((self._now() - first) / every)) + 1
        self._schedule(first + every * plan.slot, plan)

    def _heal(self, force: _Force) -> None:
        """Heal a strike, once."""
        with self._lock:
            if force.taken:
                return
            force.taken = True
        healed_us = None
        try:
            force.heal()
            healed_us = self._clock()
        except Exception as error:  # noqa: BLE001 - the others must be healed all the same
            self._gap(f"Fault «{force.plan.planned.text}» could not be healed: {_why(error)}")
        strike = Strike(force.plan.planned.name, force.struck_us, healed_us, force.detail)
        with self._lock:
            self._force.remove(force)
            self._strikes.append(strike)
        self._told(strike)

    def _latest(self) -> _Force | None:
        with self._lock:
            return next((each for each in reversed(self._force) if not each.taken), None)

    def _schedule(self, at: float, what: _Plan | _Force) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), what))

    def _gap(self, sentence: str) -> None:
        with self._lock:
            self._gaps.append(sentence)


def _made(planned: Planned, reach: Reach, known: Mapping[str, Kind]) -> _Plan | None:
    """Make the fault of an entry; None where it is struck elsewhere."""
    kind = known[planned.name]
    if kind.build is None:
        return None
    duration = kind.default_duration if planned.duration is None else planned.duration
    left = 1 if planned.every is None else planned.count
    return _Plan(planned, kind.build(planned, reach), duration, left)


def _why(error: Exception) -> str:
    """Give an error of ours in its own words, any other by its class: its text may hold a password."""
    return str(error) if isinstance(error, OrchestratorError) else f"{type(error).__name__}."
