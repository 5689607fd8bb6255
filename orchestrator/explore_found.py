"""What an exploration gives back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One thing that goes wrong, in however many schedules."""

    #: The anomaly: "lost update", "invariant", "uncaught OperationalError".
    name: str
    #: What went wrong, in a sentence about the shrunk schedule.
    sentence: str
    #: The shrunk schedule; None where a token can't say it.
    token: str | None
    #: The shrunk schedule, a column a worker.
    listing: str
    #: Schedules that showed it.
    count: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """What an exploration found, and how far it looked."""

    #: Something went wrong in at least one schedule.
    found: bool
    #: Failures by name: in how many schedules.
    anomalies: dict[str, int]
    #: Schedules that were run to their end.
    schedules: int
    #: Every schedule that can matter was run: what was not found does not exist, for these bodies, rows and bounds.
    complete: bool
    #: How long the search took.
    seconds: float
    #: The first failure's shrunk schedule, to be replayed.
    token: str | None
    #: The same, a column a worker.
    listing: str | None
    #: The policy that the search ended with.
    policy: str
    #: What else must be known: why schedules can't be replayed, what bounded the search.
    remark: str | None = None
    failures: tuple[Failure, ...] = ()
    #: Different endings that the schedules had: what bodies returned and the rows that were left.
    outcomes: int = 0
    #: It was ended from outside (Ctrl-C) before its time.
    interrupted: bool = False

    def as_json(self) -> dict[str, Any]:
        """Give it as an object for machines."""
        return {**asdict(self), "failures": [asdict(each) for each in self.failures]}
