"""What a policy sees and decides: one small interface, one policy per file beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExplorerError(Exception):
    """Root of the explorer's own errors; none of them is a finding about the bodies."""


class Divergence(ExplorerError):
    """A replayed schedule asked for what this run can't do: the two runs are not the same."""


class Point(NamedTuple):
    """Where a worker stands: what it will do when it is next chosen."""

    #: "start", "read", "write", "commit", "rollback", or a point of the caller's own ("dequeue", "pause", "ack").
    kind: str
    #: The statement's text, where there is one.
    statement: str = ""


class Step(NamedTuple):
    """The moment of a choice."""

    #: Choices made before this one.
    number: int
    #: The worker that ran last; None before the first step.
    last: int | None
    #: Where each worker stands, by its number.
    points: Sequence[Point]


class Scheduler(Protocol):
    """Decides who runs next; deterministic, so that the same answers give the same run."""

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Name one of `ready`, which is never empty and ascends."""
