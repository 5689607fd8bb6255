"""PCT, probabilistic concurrency testing: random priorities, lowered at a few random steps.

Burckhardt, Kothari, Musuvathi, Nagarakatte 2010, "A randomized scheduler with probabilistic guarantees of finding
bugs": with n workers and k steps, each schedule finds a bug of depth d with a chance of at least 1 / (n k^(d-1)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.explorer.random_walk import draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Step


class Pct:
    """Runs the ready worker of the highest priority; `depth` less one changes of priority a schedule.

    The number of steps is learnt from the schedules that were run.  Where workers may crash, about every other
    schedule has a step at which the worker that would go on crashes instead.
    """

    name = "pct"
    complete = False

    def __init__(self, seed: int, depth: int = 3) -> None:
        if depth < 1:
            raise ValueError(f"a bug's depth is at least 1, not {depth}")
        self._draw, self._depth = draws(seed), depth
        self._steps = 1
        self._priorities: list[float] = []
        self._changes: dict[int, int] = {}
        self._crash = 0

    def begin(self) -> bool:
        """Draw the steps of the changes; priorities are drawn when the workers are known."""
        self._priorities = []
        wanted = min(self._depth - 1, self._steps)
        self._changes = {}
        while len(self._changes) < wanted:
            self._changes.setdefault(int(self._draw() * self._steps), len(self._changes))
        self._crash = int(self._draw() * 2 * self._steps)
        return True

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Take the highest priority, after the change that is due; the later the change, the higher what it sets."""
        workers = len(step.points)
        if not self._priorities:  # all above those that changes set, and all different
            self._priorities = [self._depth + self._draw() for _ in range(workers)]
        chosen = self._highest(ready, workers)
        if (change := self._changes.get(step.number)) is not None:
            self._priorities[chosen] = change
            chosen = self._highest(ready, workers)
        crash = chosen + workers
        if step.number >= self._crash and crash in ready:
            self._crash = 2 * self._steps + step.number
            return crash
        return chosen

    def _highest(self, ready: Sequence[int], workers: int) -> int:
        return max((each for each in ready if each < workers), key=self._priorities.__getitem__)

    def learn(self, execution: Execution) -> None:
        """Learn how long schedules are."""
        self._steps = max(self._steps, len(execution.choices))
