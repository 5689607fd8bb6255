"""The search: schedule after schedule as a policy has it, each judged, the failures in groups."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from orchestrator.explorer.dpor import Redundant
from orchestrator.explorer.judging import serial_outcome
from orchestrator.explorer.replay import Retrace
from orchestrator.explorer.sameness import compare
from orchestrator.explorer.scheduler import Divergence, ExplorerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.explorer.judging import Anomaly, Judge
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Policy, Scheduler

#: Seconds between two tellings.
_TELL: Final = 0.1
#: One schedule in so many is run twice.
_AGAIN: Final = 1_000


class Enough(ExplorerError):
    """Raised by whoever is told how far a search is: it ends there, with what it has found."""


class Arena(Protocol):
    """What runs the bodies once, from the same start, under a scheduler."""

    @property
    def workers(self) -> int:
        """How many bodies there are."""

    def run(self, scheduler: Scheduler) -> Execution:
        """Run one schedule."""


class Budget(NamedTuple):
    """How far a search may go; None: as far as it takes."""

    schedules: int | None = None
    seconds: float | None = None


class Failure(NamedTuple):
    """Anomalies of one name and witness."""

    #: As the first schedule had it.
    anomaly: Anomaly
    #: The first schedule.
    execution: Execution
    #: Which one it was, from 1.
    schedule: int
    #: Schedules that had it.
    times: int = 1


class Findings(NamedTuple):
    """What a search found, and how far it went."""

    failures: tuple[Failure, ...]
    #: By anomalies' names: schedules that had one of that name.
    named: dict[str, int]
    #: Schedules run to their end.
    schedules: int
    #: Different outcomes among them: what the bodies gave, and the rows left.
    distinct: int
    #: Schedules given up since they would repeat others.
    redundant: int
    #: Schedules ended at the limit of steps.
    cut: int
    seconds: float
    #: The policy that was at work last.
    policy: str
    #: What was not found does not exist, for these bodies and rows.
    complete: bool
    #: What was not found does not exist within the policy's bounds.
    bounded: bool
    #: One sentence where two runs of one schedule differed: then nothing else holds.
    unstable: str = ""
    #: One sentence where a statement waited for what nobody knew it to touch: then no search is complete.
    unforeseen: str = ""
    #: It was ended from outside (Ctrl-C) before its time.
    interrupted: bool = False


def search(
    arena: Arena,
    policy: Policy,
    judge: Judge,
    budget: Budget,
    *,
    keep_going: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    tell: Callable[[int, float, int], None] | None = None,
) -> Findings:
    """Search until a failure, the policy's end or the budget's; with `keep_going`, past failures.

    `tell` is told the schedules, the seconds and the distinct outcomes so far, now and then; it may raise `Enough`.
    """
    return _Search(arena, policy, judge, clock, tell).run(budget, keep_going=keep_going)


class _Search:
    def __init__(
        self,
        arena: Arena,
        policy: Policy,
        judge: Judge,
        clock: Callable[[], float],
        tell: Callable[[int, float, int], None] | None,
    ) -> None:
        self._arena, self._policy, self._judge, self._clock, self._tell = arena, policy, judge, clock, tell
        self._failures: dict[tuple[str, str], Failure] = {}
        self._named: Counter[str] = Counter()
        self._outcomes: set[int] = set()
        self._schedules = self._redundant = self._cut = 0
        self._unstable = self._unforeseen = ""
        self._interrupted = False
        self._since = self._told = clock()

    def run(self, budget: Budget, *, keep_going: bool) -> Findings:
        try:
            while self._within(budget) and self._policy.begin():
                if self._schedule(keep_going=keep_going):
                    break
        except (KeyboardInterrupt, Enough):
            self._interrupted = True
        return self._findings()

    def _schedule(self, *, keep_going: bool) -> bool:
        """Run one schedule; says whether to end."""
        try:
            execution = self._arena.run(self._policy)
        except Redundant:
            self._redundant += 1
            return False
        except Divergence as parting:
            self._unstable = f"not replayable because {parting}"
            return True
        self._policy.learn(execution)
        self._wonder(execution)
        new = self._look(execution)
        if (new or self._schedules % _AGAIN == 1) and self._differs(execution):
            return True
        return new and not keep_going

    def _wonder(self, execution: Execution) -> None:
        """Note the first statement that waited for no known reason."""
        if execution.unforeseen and not self._unforeseen:
            record = execution.records[execution.unforeseen[0]]
            self._unforeseen = (
                f"not complete because the statement «{record.point.statement}» of worker {record.worker} waited for"
                " something that neither its text nor the catalog shows"
            )

    def _within(self, budget: Budget) -> bool:
        """Say whether the budget allows one more, and tell how far it is."""
        now = self._clock()
        if self._tell is not None and now - self._told >= _TELL:
            self._told = now
            self._tell(self._schedules, now - self._since, len(self._outcomes))
        return (budget.schedules is None or self._schedules < budget.schedules) and (
            budget.seconds is None or now - self._since < budget.seconds
        )

    def _look(self, execution: Execution) -> bool:
        """Judge a schedule; says whether anything about it is new."""
        self._schedules += 1
        self._cut += execution.cut
        self._outcomes.add(_digest(execution))
        known = len(self._failures)
        found = self._judge(execution)
        self._named.update(list(dict.fromkeys(each.name for each in found)))
        for anomaly in {(each.name, each.witness): each for each in found}.values():
            group = (anomaly.name, anomaly.witness)
            failure = self._failures.get(group)
            self._failures[group] = (
                Failure(anomaly, execution, self._schedules)
                if failure is None
                else failure._replace(times=failure.times + 1)
            )
        return len(self._failures) > known

    def _differs(self, execution: Execution) -> bool:
        """Run a schedule again; says whether it went another way."""
        difference = compare(execution, self._arena.run(Retrace(execution.choices)), values=True)
        if difference is not None:
            sentence = difference.sentence().rstrip(".")
            self._unstable = f"not replayable because {sentence[:1].lower()}{sentence[1:]}"
        return difference is not None

    def _findings(self) -> Findings:
        policy, known = self._policy, not (self._unstable or self._unforeseen or self._interrupted)
        seconds = self._clock() - self._since
        if self._tell is not None:
            with suppress(Enough):
                self._tell(self._schedules, seconds, len(self._outcomes))
        return Findings(
            failures=tuple(self._failures.values()),
            named=dict(self._named),
            schedules=self._schedules,
            distinct=len(self._outcomes),
            redundant=self._redundant,
            cut=self._cut,
            seconds=seconds,
            policy=policy.name,
            complete=known and policy.complete,
            bounded=known and bool(getattr(policy, "bounded", False)),  # only a policy that wraps others has bounds
            unstable=self._unstable,
            unforeseen=self._unforeseen,
            interrupted=self._interrupted,
        )


def _digest(execution: Execution) -> int:
    """Digest a schedule's outcome; rows may hold what can't be hashed."""
    endings, state = serial_outcome(execution)
    if isinstance(state, dict):
        state = tuple(state.items())
    try:
        return hash((endings, state))
    except TypeError:
        return hash((endings, repr(state)))
