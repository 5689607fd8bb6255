"""What a policy sees and decides: one small interface, one policy per file beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from orchestrator.explorer.model import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.model import Event, Execution

__all__ = ["Divergence", "ExplorerError", "Point", "Policy", "Scheduler", "Step"]


class ExplorerError(Exception):
    """Root of the explorer's own errors; none of them is a finding about the bodies."""


class Divergence(ExplorerError):
    """A replayed schedule asked for what this run can't do: the two runs are not the same."""


class Step:
    """The moment of a choice: one object goes through a whole schedule, so policies keep what it says and not it."""

    __slots__ = ("events", "last", "number", "pending", "points", "unforeseen")

    def __init__(
        self,
        number: int,
        last: int | None,
        points: Sequence[Point],
        events: Sequence[Event] = (),
        pending: Callable[[int], Event] | None = None,
        unforeseen: Sequence[int] = (),
    ) -> None:
        #: Choices made before this one.
        self.number = number
        #: The choice made last; None before the first step.
        self.last = last
        #: Where each worker stands, by its number.
        self.points = points
        #: What was done so far.
        self.events = events
        #: The event that a choice would be, as far as it can be told before it happens; None in tests of plain walks.
        self.pending = pending
        #: Steps so far whose statement waited for no known reason.
        self.unforeseen = unforeseen


class Scheduler(Protocol):
    """Decides who runs next; deterministic, so that the same answers give the same run."""

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Name one of `ready`, which is never empty and ascends: a worker, or, plus their number, a worker's crash."""


class Policy(Scheduler, Protocol):
    """A scheduler for many schedules: `begin`, a run that asks `choose`, `learn`, and again."""

    @property
    def name(self) -> str:
        """The policy's name in reports."""

    @property
    def complete(self) -> bool:
        """Every schedule that can matter was run: what was not found does not exist."""

    def begin(self) -> bool:
        """Prepare for the next schedule; False: there is none left."""

    def learn(self, execution: Execution) -> None:
        """Look at the schedule that was just run."""
