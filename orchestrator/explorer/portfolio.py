"""Portfolio: a search that may be complete for a share of the budget, then samples of several kinds in turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.partial_order_sampling import PartialOrderSampling
from orchestrator.explorer.pct import Pct
from orchestrator.explorer.random_walk import RandomWalks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Policy, Step

#: The share of the budget that a search which may be complete gets; what it has not done by then, it hardly will.
SHARE: Final = 0.6


class Portfolio:
    """The first policy until it is complete or its share is used, then the samplers in rotation."""

    def __init__(
        self,
        first: Policy,
        samplers: Sequence[Policy],
        *,
        schedules: float | None = None,
        seconds: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Take the first policy's share in schedules and in seconds; None: as many as it takes."""
        self._first, self._samplers = first, tuple(samplers)
        self._schedules, self._seconds, self._clock = schedules, seconds, clock
        self._since: float | None = None
        self._run = 0
        self._sampled = 0
        self._current = first

    @property
    def name(self) -> str:
        """Who was at work."""
        if not self._sampled:
            return self._first.name
        return f"{self._first.name}, then {', '.join(each.name for each in self._samplers)}"

    @property
    def complete(self) -> bool:
        """Every schedule that can matter was run."""
        return self._first.complete

    @property
    def bounded(self) -> bool:
        """Every schedule within the first policy's bounds was run."""
        return bool(getattr(self._first, "bounded", False))  # only `Bounded` has any

    def begin(self) -> bool:
        """Prepare for the next schedule, of whoever's turn it is."""
        if not self._sampled and self._has_share():
            return self._first.begin()
        self._current = self._samplers[self._sampled % len(self._samplers)]
        self._sampled += 1
        return self._current.begin()

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Ask whose turn it is."""
        return self._current.choose(ready, step)

    def learn(self, execution: Execution) -> None:
        """Tell whose schedule it was."""
        self._run += 1
        self._current.learn(execution)

    def _has_share(self) -> bool:
        if self._since is None:
            self._since = self._clock()
        return (self._schedules is None or self._run < self._schedules) and (
            self._seconds is None or self._clock() - self._since < self._seconds
        )


def portfolio(isolation: str, seed: int, *, schedules: int | None = None, seconds: float | None = None) -> Portfolio:
    """Make the default policy for a search of so many schedules or seconds."""
    return Portfolio(
        Dpor(isolation),
        (PartialOrderSampling(seed, isolation), Pct(seed), RandomWalks(seed)),
        schedules=None if schedules is None else SHARE * schedules,
        seconds=None if seconds is None else SHARE * seconds,
    )
