"""Bounded: another policy, kept to schedules of a few preemptions.

Musuvathi and Qadeer 2007, "Iterative context bounding for systematic testing of multithreaded programs": most bugs
need two.  A preemption is a step of another worker while the one that ran last could go on; so is its crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Policy, Step


class Bounded:
    """Shows the policy within only choices that the bound allows.

    Around `Exhaustive`, and around `Dpor(isolation, within_bounds=True)`, every schedule within the bound is covered
    when there is none left: `bounded`, and `complete` only where the bound forbade nothing.
    """

    def __init__(self, within: Policy, preemptions: int) -> None:
        self._within = within
        self._bound = preemptions
        self._used = 0
        self._forbidden = False
        self._over = False

    @property
    def name(self) -> str:
        """The policy within, and the bound."""
        return f"{self._within.name}, at most {self._bound} preemption{'' if self._bound == 1 else 's'}"

    @property
    def complete(self) -> bool:
        """Every schedule that can matter was run."""
        return self._within.complete and not self._forbidden

    @property
    def bounded(self) -> bool:
        """Every schedule within the bound was run, though not every schedule."""
        return self._within.complete and self._forbidden

    def begin(self) -> bool:
        """Prepare for the next schedule."""
        self._used = 0
        return self._within.begin()

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Leave out what would be a preemption too many."""
        if step.last is None:
            return self._within.choose(ready, step)
        workers = len(step.points)
        last = step.last % workers
        goes_on = last in ready
        if goes_on and self._used >= self._bound:
            allowed = [choice for choice in ready if choice % workers == last]
            self._forbidden = self._forbidden or len(allowed) < len(ready)
            ready = allowed
        choice = self._within.choose(ready, step)
        self._used += goes_on and choice % workers != last
        return choice

    def learn(self, execution: Execution) -> None:
        """Pass it on."""
        self._within.learn(execution)
